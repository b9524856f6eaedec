//! Labels, label expressions and selectors, as text and as bytes.

use crate::label::Label;
use crate::label_op::LabelOp;
use crate::limits;
use crate::selector::Selector;

/// A case is read as each of them.
pub fn expression(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(op) = LabelOp::parse(text)
    {
        check(&op);
    }
    if let Ok(op) = LabelOp::decode(data) {
        check(&op);
    }
    if let Ok(selector) = Selector::decode(data) {
        assert!(data.len() <= limits::SELECTOR_BYTES);
        assert_eq!(Selector::decode(&selector.encode()).as_ref(), Ok(&selector));
    }
    if let Ok((label, _)) = postcard::take_from_bytes::<Label>(data) {
        assert!(label.len() <= limits::LABEL_ELEMENTS);
        let bytes = postcard::to_allocvec(&label).expect("plain data");
        assert!(bytes.len() <= label.encoded_bound());
        assert_eq!(postcard::from_bytes(&bytes), Ok(label));
    }
}

/// Text and bytes of an expression come back as the same one, and it means something.
fn check(op: &LabelOp) {
    let text = op.to_string();
    assert_eq!(LabelOp::parse(&text).as_ref(), Ok(op), "{text}");
    let bytes = op.encode();
    assert!(bytes.len() <= limits::LABEL_OP_BYTES);
    assert_eq!(LabelOp::decode(&bytes).as_ref(), Ok(op), "{text}");
    let label = Label::new(["a", "b", "true"]).expect("within the bounds");
    if let Ok(opposite) = op.not() {
        assert_ne!(op.matches(&label), opposite.matches(&label), "{text}");
    }
}
