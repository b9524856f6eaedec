//! Each file imports only from the floors below it, in the order that the crate's map gives; and the map is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Module names in the order of the table at the top of `lib.rs`.
fn floors(crate_folder: &Path) -> BTreeMap<String, usize> {
    let map = fs::read_to_string(crate_folder.join("src/lib.rs")).unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|row| row.contains('`'));
    let names = rows.map(|row| row.split('`').nth(1).unwrap().to_owned());
    names.enumerate().map(|(floor, name)| (name, floor)).collect()
}

fn check(crate_folder: &Path) {
    let floors = floors(crate_folder);
    let source = crate_folder.join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 5);
    for file in files {
        let place = file.strip_prefix(&source).unwrap();
        let module = place.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" {
            continue;
        }
        let own = *floors.get(&module).unwrap_or_else(|| panic!("{module} is not in the map of lib.rs"));
        let text = fs::read_to_string(&file).unwrap();
        // Tests may look at anything.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for used in code.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if let Some(&floor) = floors.get(&used) {
                assert!(floor <= own, "{} imports {used}, which is above it", place.display());
            }
        }
    }
}

#[test]
fn the_bus_imports_downwards() {
    check(Path::new(env!("CARGO_MANIFEST_DIR")));
}

#[test]
fn bindings_and_what_they_share_import_downwards() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../binding"));
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../c"));
}

/// The words for a bus stay out of the crate below.
#[test]
fn the_transport_has_no_notion_of_a_bus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../transport/src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    assert!(files.len() > 5);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["ipmb_bus", "Selector", "Label", "Endpoint"] {
            assert!(!text.contains(word), "{} speaks of {word}", file.display());
        }
    }
}
