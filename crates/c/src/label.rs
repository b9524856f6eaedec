//! Labels, and expressions over them.
//!
//! A function that takes an expression by value consumes it, also when it fails. Null is the expression that could not be made,
//! and makes all that is built on it null: only the last needs to be checked.

use std::ffi::c_char;
use std::ptr::null_mut;

use ipmb_bus::label::Label as CoreLabel;
use ipmb_bus::label_op::LabelOp as CoreOp;

use crate::boundary::{self, Behind, Caller, Handle};
use crate::error::Refused;
use crate::text::{RString, rstring};

/// Handle of the set of texts that describes an endpoint.
pub type Label = *mut std::ffi::c_void;

/// Handle of an expression over labels: who a message is for.
pub type LabelOp = *mut std::ffi::c_void;

/// What was inserted, and what was wrong with it first: nobody hears of it before the label is used.
#[derive(Clone, Default)]
pub(crate) struct Elements {
    label: CoreLabel,
    wrong: Option<String>,
}

impl Behind for Elements {
    const MARK: u64 = 0x5e0c_93f2_7a6d_4b18;
    const NAME: &'static str = "Label";
}

impl Elements {
    fn insert(&mut self, element: &str) -> Result<(), Refused> {
        self.label = self.label.union(&CoreLabel::new([element])?)?;
        Ok(())
    }

    /// The label, if nothing was wrong.
    pub(crate) fn label(&self) -> Result<CoreLabel, Refused> {
        match &self.wrong {
            None => Ok(self.label.clone()),
            Some(text) => Err(Refused::invalid(text.clone())),
        }
    }
}

pub(crate) struct Op(pub(crate) CoreOp);

impl Behind for Op {
    const MARK: u64 = 0x9b47_e1a0_3c58_4d62;
    const NAME: &'static str = "LabelOp";
}

/// A label without elements. To be dropped.
///
/// Any thread. A label is used by one thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn ipmb_label() -> Label {
    // SAFETY: no pointer is followed.
    unsafe { boundary::call(null_mut(), |_| Ok(boundary::hand_out(Elements::default()))) }
}

/// Another label with the same elements, to be dropped on its own. Null: the handle is.
///
/// Any threads at once.
///
/// # Safety
/// `label` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_clone(label: *const Label) -> Label {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| Ok(boundary::hand_out(caller.get::<Elements>(label)?.clone()))) }
}

/// Drops a label. Null is fine.
///
/// # Safety
/// Nobody uses the handle any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_drop(label: Label) {
    // SAFETY: the handle is as the caller promised.
    unsafe { boundary::end(label, |caller| caller.take::<Elements>(label).map(drop)) };
}

/// Inserts an element of 1 to 255 bytes in UTF-8. What is in it already changes nothing. A label has up to 64
/// elements, of 4,096 bytes in all.
///
/// An element that cannot be inserted is remembered: joining with the label fails then, with the reason.
///
/// One thread at a time.
///
/// # Safety
/// `label` points to a handle that nobody else uses meanwhile; `s` ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_insert(label: *mut Label, s: *const c_char) {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            let elements = caller.get_mut::<Elements>(label)?;
            let inserted = caller.text("label element", s).and_then(|element| elements.insert(element));
            inserted.inspect_err(|refused| {
                elements.wrong.get_or_insert_with(|| refused.text().to_owned());
            })
        });
    }
}

fn made(op: CoreOp) -> Handle {
    boundary::hand_out(Op(op))
}

/// The expression that everybody matches, or nobody. To be dropped, as all that the functions below return.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ipmb_label_op_bool(v: bool) -> LabelOp {
    // SAFETY: no pointer is followed.
    unsafe { boundary::call(null_mut(), |_| Ok(made(CoreOp::constant(v)))) }
}

/// The expression that those match whose label has an element. Null: it is not 1 to 255 bytes of UTF-8.
///
/// Any thread.
///
/// # Safety
/// `s` is null, or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_leaf(s: *const c_char) -> LabelOp {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| Ok(made(CoreOp::leaf(caller.text("label element", s)?)?))) }
}

/// The expression of a text such as `a & (b | !c)`. Null: it is none, or too large.
///
/// An expression is up to 64 levels deep, has up to 256 operators and elements, and takes up to 4,096 bytes as it travels: its own
/// and two more for each element, up to two for each operator.
///
/// Any thread.
///
/// # Safety
/// `text` is null, or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_parse(text: *const c_char) -> LabelOp {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| Ok(made(CoreOp::parse(caller.text("text", text)?)?))) }
}

/// Who does not match `op`, which is consumed. Null: it is, or it gets deeper than 64 levels.
///
/// Any thread.
///
/// # Safety
/// `op` is a handle that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_not(op: LabelOp) -> LabelOp {
    // SAFETY: the handle is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| Ok(made(caller.take::<Op>(op)?.0.not()?))) }
}

/// Takes both, whatever one of them is.
fn both(caller: &Caller, left: Handle, right: Handle) -> Result<(CoreOp, CoreOp), Refused> {
    let first = caller.take::<Op>(left);
    if left == right {
        // The same twice: it is gone already.
        let Op(op) = first?;
        return Ok((op.clone(), op));
    }
    let second = caller.take::<Op>(right);
    Ok((first?.0, second?.0))
}

/// Who matches both, which are consumed. Null: one of them is, or it gets too large: see `ipmb_label_op_parse`.
///
/// Any thread.
///
/// # Safety
/// Both are handles that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_and(left: LabelOp, right: LabelOp) -> LabelOp {
    // SAFETY: the handles are as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            let (left, right) = both(caller, left, right)?;
            Ok(made(left.and(&right)?))
        })
    }
}

/// Who matches at least one of both, which are consumed. Null: one of them is, or it gets too large: see
/// `ipmb_label_op_parse`.
///
/// Any thread.
///
/// # Safety
/// Both are handles that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_or(left: LabelOp, right: LabelOp) -> LabelOp {
    // SAFETY: the handles are as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            let (left, right) = both(caller, left, right)?;
            Ok(made(left.or(&right)?))
        })
    }
}

/// Another handle of the same expression.
///
/// Any threads at once.
///
/// # Safety
/// `op` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_clone(op: *const LabelOp) -> LabelOp {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| Ok(made(caller.get::<Op>(op)?.0.clone()))) }
}

/// The text of an expression, as `ipmb_label_op_parse` takes it. To be dropped.
///
/// Any threads at once.
///
/// # Safety
/// `op` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_text(op: *const LabelOp) -> RString {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| Ok(rstring(caller.get::<Op>(op)?.0.to_string()))) }
}

/// Whether an endpoint with this label is meant. False where one of them is null.
///
/// Any threads at once.
///
/// # Safety
/// Both point to handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_matches(op: *const LabelOp, label: *const Label) -> bool {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call(false, |caller| Ok(caller.get::<Op>(op)?.0.matches(&caller.get::<Elements>(label)?.label()?)))
    }
}

/// Drops an expression. Null is fine.
///
/// # Safety
/// Nobody uses the handle any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_label_op_drop(op: LabelOp) {
    // SAFETY: the handle is as the caller promised.
    unsafe { boundary::end(op, |caller| caller.take::<Op>(op).map(drop)) };
}
