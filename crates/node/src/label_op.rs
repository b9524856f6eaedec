//! Who a message is for.

use ipmb_bus::label::Label;
use ipmb_bus::label_op;
use napi_derive::napi;

use crate::failure::{Result, told};

/// A boolean expression over labels; it does not change.
#[napi]
pub struct LabelOp {
    pub(crate) op: label_op::LabelOp,
}

#[napi]
impl LabelOp {
    /// Matches the endpoints whose label holds the element.
    #[napi(factory, catch_unwind)]
    pub fn leaf(element: String) -> Result<LabelOp> {
        label_op::LabelOp::leaf(element).map(|op| LabelOp { op }).map_err(told)
    }

    /// Matches all endpoints, or none.
    #[napi(factory, catch_unwind)]
    pub fn constant(value: bool) -> LabelOp {
        LabelOp { op: label_op::LabelOp::constant(value) }
    }

    /// What `text` gave.
    #[napi(factory, catch_unwind)]
    pub fn parse(text: String) -> Result<LabelOp> {
        label_op::LabelOp::parse(&text).map(|op| LabelOp { op }).map_err(told)
    }

    /// Whom this one does not match.
    #[napi(catch_unwind)]
    pub fn not(&self) -> Result<LabelOp> {
        self.op.not().map(|op| LabelOp { op }).map_err(told)
    }

    /// Whom both match.
    #[napi(catch_unwind)]
    pub fn and(&self, other: &LabelOp) -> Result<LabelOp> {
        self.op.and(&other.op).map(|op| LabelOp { op }).map_err(told)
    }

    /// Whom at least one matches.
    #[napi(catch_unwind)]
    pub fn or(&self, other: &LabelOp) -> Result<LabelOp> {
        self.op.or(&other.op).map(|op| LabelOp { op }).map_err(told)
    }

    /// Whether an endpoint with this label is meant.
    #[napi(catch_unwind)]
    pub fn matches(&self, label: Vec<String>) -> Result<bool> {
        Ok(self.op.matches(&Label::new(label).map_err(told)?))
    }

    /// The same as people write it.
    #[napi(catch_unwind)]
    pub fn text(&self) -> String {
        self.op.to_string()
    }
}
