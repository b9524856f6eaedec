//! The set of strings that describes an endpoint.
//!
//! A label is immutable and shared: the directory, the route cache and every received message point at the same one. Its
//! elements are kept sorted and without duplicates, so that equality is equality of sets and a leaf of an expression is
//! found in logarithmic time, and its bounds are checked in the one constructor that decoding goes through as well.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::error::InvalidArgument;
use crate::limits;

/// An immutable, sorted set of strings, each 1 to 255 bytes long.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Arc<[Arc<str>]>);

impl Label {
    /// Makes a label of some elements; order and repetition do not matter.
    ///
    /// # Errors
    /// When an element is empty or too long, or the whole has too many elements or bytes.
    pub fn new<I, S>(elements: I) -> Result<Self, InvalidArgument>
    where
        I: IntoIterator<Item = S>,
        S: Into<Arc<str>>,
    {
        let mut kept: Vec<Arc<str>> = Vec::new();
        for element in elements {
            let element = element.into();
            check_element(&element)?;
            // In place at once, so that an endless iterator of repetitions cannot use up memory before it is judged.
            if let Err(place) = kept.binary_search(&element) {
                if kept.len() == limits::LABEL_ELEMENTS {
                    let (most, bound) = (limits::LABEL_ELEMENTS, format!("give at most {}", limits::LABEL_ELEMENTS));
                    return Err(InvalidArgument::new("label", format!("of more than {most} elements"), bound));
                }
                kept.insert(place, element);
            }
        }
        let bytes: usize = kept.iter().map(|element| element.len()).sum();
        if bytes > limits::LABEL_BYTES {
            let bound = format!("give elements of at most {} bytes together", limits::LABEL_BYTES);
            return Err(InvalidArgument::new("label", format!("{bytes} bytes long"), bound));
        }
        Ok(Self(kept.into()))
    }

    /// Whether the element is in the set.
    pub fn contains(&self, element: &str) -> bool {
        self.0.binary_search_by(|candidate| (**candidate).cmp(element)).is_ok()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.0.iter()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element; such an endpoint is matched by `true` and by negations only.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The union with another label.
    ///
    /// # Errors
    /// When the union is past the bounds of a label.
    pub fn union(&self, other: &Label) -> Result<Self, InvalidArgument> {
        Self::new(self.iter().chain(other.iter()).cloned())
    }

    /// An upper bound for the bytes this label takes when encoded.
    pub(crate) fn encoded_bound(&self) -> usize {
        // Two bytes of count, and two of length for each element, hold every number within the limits.
        2 + self.iter().map(|element| 2 + element.len()).sum::<usize>()
    }
}

impl Default for Label {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Label")?;
        out.debug_set().entries(self.iter()).finish()
    }
}

/// Checks one element, for labels and for the leaves of expressions.
pub(crate) fn check_element(element: &str) -> Result<(), InvalidArgument> {
    let bound = || format!("give 1 to {} bytes", limits::LABEL_ELEMENT_BYTES);
    if element.is_empty() {
        return Err(InvalidArgument::new("label element", "empty", bound()));
    }
    if element.len() > limits::LABEL_ELEMENT_BYTES {
        return Err(InvalidArgument::new("label element", format!("{} bytes long", element.len()), bound()));
    }
    Ok(())
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|element| &**element))
    }
}

impl<'de> serde::Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements)
    }
}

/// Collects at most the allowed number of elements, whatever length the sequence claims.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Label;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at most {} label elements", limits::LABEL_ELEMENTS)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Label, A::Error> {
        let mut elements: Vec<&'de str> = Vec::with_capacity(4);
        while let Some(element) = sequence.next_element::<&'de str>()? {
            if elements.len() == limits::LABEL_ELEMENTS {
                return Err(A::Error::custom("too many label elements"));
            }
            elements.push(element);
        }
        Label::new(elements).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(elements: &[&str]) -> Label {
        Label::new(elements.iter().copied()).unwrap()
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        assert_eq!(label(&["b", "a", "b"]), label(&["a", "b"]));
        assert_eq!(format!("{:?}", label(&["b", "a"])), r#"Label{"a", "b"}"#);
        assert!(label(&["b", "a"]).contains("a") && !label(&["b", "a"]).contains("ab"));
    }

    #[test]
    fn bounds_hold_at_the_bound_and_one_past_it() {
        let longest = "x".repeat(limits::LABEL_ELEMENT_BYTES);
        assert!(Label::new([longest.as_str()]).is_ok());
        let error = Label::new([format!("{longest}x")]).unwrap_err();
        assert_eq!(error.to_string(), "label element is 256 bytes long: give 1 to 255 bytes");
        assert_eq!(Label::new([""]).unwrap_err().to_string(), "label element is empty: give 1 to 255 bytes");

        let numbered = |count: usize, width: usize| Label::new((0..count).map(|number| format!("{number:0width$}")));
        assert_eq!(numbered(limits::LABEL_ELEMENTS, 3).unwrap().len(), limits::LABEL_ELEMENTS);
        assert!(numbered(limits::LABEL_ELEMENTS + 1, 3).is_err());
        assert!(numbered(limits::LABEL_ELEMENTS, limits::LABEL_BYTES / limits::LABEL_ELEMENTS).is_ok());
        assert!(numbered(limits::LABEL_ELEMENTS, limits::LABEL_BYTES / limits::LABEL_ELEMENTS + 1).is_err());
        assert!(Label::new(std::iter::repeat_n("same", 100_000)).is_ok());
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        // A sequence that says it has 2^32 elements and brings none.
        let hostile = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(postcard::from_bytes::<Label>(&hostile).is_err());
        let many: Vec<&str> = vec!["a"; limits::LABEL_ELEMENTS + 1];
        assert!(postcard::from_bytes::<Label>(&postcard::to_allocvec(&many).unwrap()).is_err());
    }

    #[test]
    fn what_is_no_sequence_is_refused_in_words() {
        use serde::Deserialize as _;
        use serde::de::IntoDeserializer as _;
        let number: serde::de::value::U32Deserializer<serde::de::value::Error> = 5_u32.into_deserializer();
        let error = Label::deserialize(number).unwrap_err();
        assert_eq!(error.to_string(), "invalid type: integer `5`, expected at most 64 label elements");
        assert!(label(&[]).is_empty() && !label(&["a"]).is_empty());
    }

    #[test]
    fn union_is_checked() {
        assert_eq!(label(&["a"]).union(&label(&["b"])).unwrap(), label(&["a", "b"]));
        let half = |from: usize| Label::new((from..from + 40).map(|number| number.to_string())).unwrap();
        assert!(half(0).union(&half(100)).is_err());
    }

    proptest! {
        #[test]
        fn encoding_comes_back_and_fits_its_bound(elements in proptest::collection::vec("\\PC{1,20}", 0..20)) {
            let label = Label::new(elements.iter().map(String::as_str)).unwrap();
            let bytes = postcard::to_allocvec(&label).unwrap();
            prop_assert!(bytes.len() <= label.encoded_bound());
            prop_assert_eq!(postcard::from_bytes::<Label>(&bytes).unwrap(), label.clone());
            for element in &elements {
                prop_assert!(label.contains(element));
            }
        }

        #[test]
        fn any_bytes_decode_to_a_valid_label_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(label) = postcard::from_bytes::<Label>(&bytes) {
                prop_assert!(label.len() <= limits::LABEL_ELEMENTS);
                prop_assert!(label.iter().all(|element| check_element(element).is_ok()));
            }
        }
    }
}
