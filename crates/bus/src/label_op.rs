//! Boolean expressions over labels: who a message is for.
//!
//! An expression comes from users, from text and from other processes, and is walked for every endpoint on the bus. So it
//! is opaque: only the constructors here make one, they check depth, nodes and bytes, and after that every walk over it
//! (matching, printing, encoding, dropping) may recurse without further care. Chains of the same operator are one node
//! with many operands, which is why `a & b & c` is three leaves deep nowhere and why `(a & b) & c` equals `a & (b & c)`:
//! the text form, which has no parentheses there, comes back as exactly the same expression.

use std::fmt;
use std::sync::Arc;

use crate::error::InvalidArgument;
use crate::label::{self, Label};
use crate::limits;

/// A boolean expression over labels: a leaf, a constant, NOT, AND, OR.
#[derive(Clone)]
pub struct LabelOp {
    node: Arc<Node>,
    size: Size,
}

#[derive(PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Const(bool),
    Leaf(Arc<str>),
    Not(LabelOp),
    // At least two operands, none of which is of the same kind.
    And(Box<[LabelOp]>),
    Or(Box<[LabelOp]>),
}

/// What the bounds are about, carried along so that a constructor need not walk its operands.
#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn check(self) -> Result<Self, InvalidArgument> {
        let over = |what: &'static str, value: usize, bound: usize| {
            Err(InvalidArgument::new(what, value.to_string(), format!("give at most {bound}")))
        };
        if self.depth > limits::LABEL_OP_DEPTH {
            return over("nesting of the label op", self.depth, limits::LABEL_OP_DEPTH);
        }
        if self.nodes > limits::LABEL_OP_NODES {
            return over("number of operators and elements of the label op", self.nodes, limits::LABEL_OP_NODES);
        }
        if self.bytes > limits::LABEL_OP_BYTES {
            return over("number of encoded bytes of the label op", self.bytes, limits::LABEL_OP_BYTES);
        }
        Ok(self)
    }
}

impl LabelOp {
    /// Matches the endpoints whose label holds the element.
    ///
    /// # Errors
    /// When the element is empty or too long.
    pub fn leaf(element: impl Into<Arc<str>>) -> Result<Self, InvalidArgument> {
        let element = element.into();
        label::check_element(&element)?;
        let size = Size { depth: 1, nodes: 1, bytes: 2 + element.len() };
        Ok(Self { node: Arc::new(Node::Leaf(element)), size })
    }

    /// Matches every endpoint, or none.
    pub fn constant(value: bool) -> Self {
        Self { node: Arc::new(Node::Const(value)), size: Size { depth: 1, nodes: 1, bytes: 1 } }
    }

    /// Matches whom `self` does not match.
    ///
    /// # Errors
    /// When the expression gets too deep or too large.
    pub fn not(&self) -> Result<Self, InvalidArgument> {
        let Size { depth, nodes, bytes } = self.size;
        let size = Size { depth: depth + 1, nodes: nodes + 1, bytes: bytes + 1 }.check()?;
        Ok(Self { node: Arc::new(Node::Not(self.clone())), size })
    }

    /// Matches whom both match.
    ///
    /// # Errors
    /// When the expression gets too deep or too large.
    pub fn and(&self, other: &Self) -> Result<Self, InvalidArgument> {
        Self::join([self, other], |node| if let Node::And(operands) = node { Some(operands) } else { None }, Node::And)
    }

    /// Matches whom at least one matches.
    ///
    /// # Errors
    /// When the expression gets too deep or too large.
    pub fn or(&self, other: &Self) -> Result<Self, InvalidArgument> {
        Self::join([self, other], |node| if let Node::Or(operands) = node { Some(operands) } else { None }, Node::Or)
    }

    fn join(
        sides: [&Self; 2],
        same: impl Fn(&Node) -> Option<&[LabelOp]>,
        make: impl Fn(Box<[LabelOp]>) -> Node,
    ) -> Result<Self, InvalidArgument> {
        let mut operands = Vec::new();
        for side in sides {
            match same(&side.node) {
                Some(inner) => operands.extend(inner.iter().cloned()),
                None => operands.push(side.clone()),
            }
        }
        let size = operands.iter().fold(Size { depth: 0, nodes: 1, bytes: 2 }, |sum, operand| Size {
            depth: sum.depth.max(operand.size.depth),
            nodes: sum.nodes + operand.size.nodes,
            bytes: sum.bytes + operand.size.bytes,
        });
        let size = Size { depth: size.depth + 1, ..size }.check()?;
        Ok(Self { node: Arc::new(make(operands.into())), size })
    }

    /// Whether an endpoint with this label is meant.
    pub fn matches(&self, label: &Label) -> bool {
        match &*self.node {
            Node::Const(value) => *value,
            Node::Leaf(element) => label.contains(element),
            Node::Not(inner) => !inner.matches(label),
            Node::And(operands) => operands.iter().all(|operand| operand.matches(label)),
            Node::Or(operands) => operands.iter().any(|operand| operand.matches(label)),
        }
    }

    /// The element when the expression is a single leaf.
    pub fn as_leaf(&self) -> Option<&str> {
        if let Node::Leaf(element) = &*self.node { Some(element) } else { None }
    }

    /// The bytes that [`decode`](Self::decode) takes. Equal expressions have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size.bytes);
        self.encode_into(&mut out);
        out
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        // The bounds make every length and count fit its byte.
        match &*self.node {
            Node::Const(false) => out.push(FALSE),
            Node::Const(true) => out.push(TRUE),
            Node::Leaf(element) => {
                out.extend([LEAF, element.len() as u8]);
                out.extend(element.as_bytes());
            }
            Node::Not(inner) => {
                out.push(NOT);
                inner.encode_into(out);
            }
            Node::And(operands) => encode_chain(AND, operands, out),
            Node::Or(operands) => encode_chain(OR, operands, out),
        }
    }

    /// Reads an expression that another process encoded. Nothing in the bytes is believed.
    ///
    /// # Errors
    /// When the bytes are not exactly one expression within the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidArgument> {
        if bytes.len() > limits::LABEL_OP_BYTES {
            let bound = format!("at most {} are accepted", limits::LABEL_OP_BYTES);
            return Err(InvalidArgument::new(
                "number of encoded bytes of the label op",
                bytes.len().to_string(),
                bound,
            ));
        }
        let mut rest = bytes;
        let op = decode_one(&mut rest, limits::LABEL_OP_DEPTH)?;
        if rest.is_empty() { Ok(op) } else { Err(malformed("followed by other bytes")) }
    }
}

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const LEAF: u8 = 2;
const NOT: u8 = 3;
const AND: u8 = 4;
const OR: u8 = 5;

fn encode_chain(kind: u8, operands: &[LabelOp], out: &mut Vec<u8>) {
    out.extend([kind, operands.len() as u8]);
    operands.iter().for_each(|operand| operand.encode_into(out));
}

fn malformed(what: &str) -> InvalidArgument {
    InvalidArgument::new("encoded label op", what, "it has to be as LabelOp::encode writes it")
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], InvalidArgument> {
    let (taken, left) = rest.split_at_checked(count).ok_or_else(|| malformed("cut short"))?;
    *rest = left;
    Ok(taken)
}

fn decode_one(rest: &mut &[u8], depth_left: usize) -> Result<LabelOp, InvalidArgument> {
    let depth_left = depth_left.checked_sub(1).ok_or_else(|| malformed("too deep"))?;
    match take(rest, 1)?[0] {
        FALSE => Ok(LabelOp::constant(false)),
        TRUE => Ok(LabelOp::constant(true)),
        LEAF => {
            let len = usize::from(take(rest, 1)?[0]);
            let text = std::str::from_utf8(take(rest, len)?).map_err(|_| malformed("not UTF-8"))?;
            LabelOp::leaf(text)
        }
        NOT => decode_one(rest, depth_left)?.not(),
        kind @ (AND | OR) => {
            let count = take(rest, 1)?[0];
            if count < 2 {
                return Err(malformed("a chain of fewer than two"));
            }
            let mut all = decode_one(rest, depth_left)?;
            for _ in 1..count {
                let next = decode_one(rest, depth_left)?;
                all = if kind == AND { all.and(&next)? } else { all.or(&next)? };
            }
            Ok(all)
        }
        _ => Err(malformed("of an unknown kind")),
    }
}

impl PartialEq for LabelOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node) || self.node == other.node
    }
}

impl Eq for LabelOp {}

impl std::hash::Hash for LabelOp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.node.hash(state);
    }
}

impl fmt::Debug for LabelOp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LabelOp({self})")
    }
}

impl LabelOp {
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::selector::Selector;
    use proptest::prelude::*;

    fn leaf(element: &str) -> LabelOp {
        LabelOp::leaf(element).unwrap()
    }

    /// Expressions of up to five levels over a few elements, some of which need quotes.
    pub(crate) fn any_op() -> impl Strategy<Value = LabelOp> {
        let element = prop_oneof!["[a-c]", "true|false", "[ -~]{1,6}", "\\PC{1,4}", "[\\x00-\\x1f\"\\\\]{1,3}"];
        let simple = prop_oneof![element.prop_map(|element| leaf(&element)), any::<bool>().prop_map(LabelOp::constant)];
        simple.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|op| op.not().unwrap()),
                (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(&right).unwrap()),
                (inner.clone(), inner).prop_map(|(left, right)| left.or(&right).unwrap()),
            ]
        })
    }

    #[test]
    fn matching_follows_the_operators() {
        let label = Label::new(["a", "b"]).unwrap();
        let (a, b, c) = (leaf("a"), leaf("b"), leaf("c"));
        assert!(a.matches(&label) && !c.matches(&label));
        assert!(a.and(&b).unwrap().matches(&label) && !a.and(&c).unwrap().matches(&label));
        assert!(c.or(&a).unwrap().matches(&label) && !c.or(&c).unwrap().matches(&label));
        assert!(c.not().unwrap().matches(&label) && !a.not().unwrap().matches(&label));
        assert!(LabelOp::constant(true).matches(&Label::default()));
        assert!(!LabelOp::constant(false).matches(&label));
    }

    #[test]
    fn chains_are_equal_however_they_were_built() {
        let (a, b, c) = (leaf("a"), leaf("b"), leaf("c"));
        let left = a.and(&b).unwrap().and(&c).unwrap();
        let right = a.and(&b.and(&c).unwrap()).unwrap();
        assert_eq!(left, right);
        assert_eq!(left.encode(), right.encode());
        assert_ne!(left, a.or(&b).unwrap().or(&c).unwrap());
        assert_ne!(a.and(&b).unwrap(), b.and(&a).unwrap());
    }

    #[test]
    fn depth_at_the_bound_and_one_past_it() {
        let nest = |levels: usize| (1..levels).try_fold(leaf("a"), |op, _| op.not());
        assert!(nest(limits::LABEL_OP_DEPTH).is_ok());
        let error = nest(limits::LABEL_OP_DEPTH + 1).unwrap_err();
        assert_eq!(error.to_string(), "nesting of the label op is 65: give at most 64");
        let deepest = nest(limits::LABEL_OP_DEPTH).unwrap();
        assert_eq!(LabelOp::decode(&deepest.encode()).unwrap(), deepest);
        assert!(LabelOp::decode(&[&[NOT], &deepest.encode()[..]].concat()).is_err());
        assert!(LabelOp::decode(&[NOT; limits::LABEL_OP_BYTES]).is_err());
    }

    #[test]
    fn nodes_at_the_bound_and_one_past_it() {
        // One node joins all leaves.
        let chain = |leaves: usize| (1..leaves).try_fold(leaf("a"), |op, _| op.or(&leaf("a")));
        let longest = chain(limits::LABEL_OP_NODES - 1).unwrap();
        assert_eq!(LabelOp::decode(&longest.encode()).unwrap(), longest);
        let error = chain(limits::LABEL_OP_NODES).unwrap_err();
        assert_eq!(error.to_string(), "number of operators and elements of the label op is 257: give at most 256");
    }

    #[test]
    fn bytes_at_the_bound_and_one_past_it() {
        // Two bytes for the chain, and two for each leaf beside its text.
        let element = "x".repeat(limits::LABEL_ELEMENT_BYTES);
        let whole = (limits::LABEL_OP_BYTES - 2) / (element.len() + 2);
        let rest = (limits::LABEL_OP_BYTES - 2) % (element.len() + 2) - 2;
        let chain = |last: usize| {
            let long = (1..whole).try_fold(leaf(&element), |op, _| op.and(&leaf(&element)))?;
            long.and(&leaf(&"y".repeat(last)))
        };
        let largest = chain(rest).unwrap();
        assert_eq!(largest.encode().len(), limits::LABEL_OP_BYTES);
        assert_eq!(LabelOp::decode(&largest.encode()).unwrap(), largest);
        assert_eq!(Selector::unicast(largest).encode().len(), limits::SELECTOR_BYTES);
        assert!(chain(rest + 1).unwrap_err().to_string().contains("4097: give at most 4096"));
        assert!(LabelOp::decode(&[TRUE; limits::LABEL_OP_BYTES + 1]).is_err());
    }

    #[test]
    fn a_chain_of_chains_past_the_bound_is_refused() {
        for kind in [AND, OR] {
            // Two chains of its own kind, which become one of 300.
            let inner = [&[kind, 150][..], &[TRUE; 150]].concat();
            let bytes = [&[kind, 2][..], &inner, &inner].concat();
            let error = LabelOp::decode(&bytes).unwrap_err();
            assert_eq!(error.to_string(), "number of operators and elements of the label op is 301: give at most 256");
        }
    }

    #[test]
    fn a_leaf_is_told_from_the_rest_and_equals_are_the_same_key() {
        assert_eq!(leaf("a").as_leaf(), Some("a"));
        assert_eq!(leaf("a").not().unwrap().as_leaf(), None);
        let two: std::collections::HashSet<_> = [leaf("a"), leaf("b"), leaf("a")].into();
        assert_eq!(two.len(), 2);
        assert_eq!(format!("{:?}", leaf("a").not().unwrap()), "LabelOp(!a)");
    }

    #[test]
    fn broken_bytes_are_refused() {
        let good = leaf("a").and(&leaf("b").not().unwrap()).unwrap().encode();
        for len in 0..good.len() {
            assert!(LabelOp::decode(&good[..len]).is_err(), "cut to {len}");
        }
        for bad in [&[TRUE, TRUE][..], &[AND, 0], &[AND, 1, TRUE], &[LEAF, 0], &[LEAF, 1, 0xff], &[6], &[0xff]] {
            assert!(LabelOp::decode(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn encoding_comes_back(op in any_op()) {
            let bytes = op.encode();
            prop_assert_eq!(bytes.len(), op.size.bytes);
            let back = LabelOp::decode(&bytes).unwrap();
            prop_assert_eq!(back.size.depth, op.size.depth);
            prop_assert_eq!(back.size.nodes, op.size.nodes);
            prop_assert_eq!(back, op);
        }

        #[test]
        fn any_bytes_are_an_expression_or_an_error(bytes in proptest::collection::vec(0..7u8, 0..60)) {
            if let Ok(op) = LabelOp::decode(&bytes) {
                prop_assert_eq!(LabelOp::decode(&op.encode()).unwrap(), op);
            }
        }
    }
}
