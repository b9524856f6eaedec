//! The text form of label expressions: printing and parsing.
//!
//! The grammar, loosest first: `or = and ('|' and)*`, `and = unary ('&' unary)*`, `unary = '!' unary | '(' or ')' | element`.
//! White space between tokens is free. An element is printed bare when it is made of ASCII letters, digits and `_ . : -`,
//! does not start with a digit or `-`, and is neither `true` nor `false`; everything else is printed in double quotes. The
//! parser also takes the letters and digits of other scripts bare, because people type them; they are not *printed* bare so
//! that two expressions that look alike in a log are alike. In quotes, `\"`, `\\`, `\n`, `\r`, `\t` and `\u{hex}` stand for
//! a character; printing uses them for quotes, backslashes and control characters.

mod parser;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::error::InvalidArgument;
use crate::label_op::{LabelOp, Node};
use parser::Parser;

impl fmt::Display for LabelOp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            Node::Const(value) => write!(out, "{value}"),
            Node::Leaf(element) if is_bare(element) => out.write_str(element),
            Node::Leaf(element) => write_quoted(out, element),
            Node::Not(inner) => {
                out.write_char('!')?;
                write_operand(out, inner, matches!(inner.node(), Node::And(_) | Node::Or(_)))
            }
            Node::And(operands) => write_chain(out, " & ", operands, |node| matches!(node, Node::Or(_))),
            Node::Or(operands) => write_chain(out, " | ", operands, |_| false),
        }
    }
}

fn write_chain(
    out: &mut fmt::Formatter<'_>,
    operator: &str,
    operands: &[LabelOp],
    in_parentheses: impl Fn(&Node) -> bool,
) -> fmt::Result {
    for (number, operand) in operands.iter().enumerate() {
        if number > 0 {
            out.write_str(operator)?;
        }
        write_operand(out, operand, in_parentheses(operand.node()))?;
    }
    Ok(())
}

fn write_operand(out: &mut fmt::Formatter<'_>, operand: &LabelOp, in_parentheses: bool) -> fmt::Result {
    if in_parentheses { write!(out, "({operand})") } else { write!(out, "{operand}") }
}

fn is_bare(element: &str) -> bool {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    !element.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && element.bytes().all(bare)
        && !matches!(element, "true" | "false")
}

fn write_quoted(out: &mut fmt::Formatter<'_>, element: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in element.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            other if other.is_control() => write!(out, "\\u{{{:x}}}", u32::from(other))?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

impl LabelOp {
    /// Reads the text form, e.g. `a & (b | !c)`.
    ///
    /// # Errors
    /// When the text is not an expression, naming the position (in characters, from 0), or one past the bounds.
    pub fn parse(text: &str) -> Result<Self, InvalidArgument> {
        Parser::new(text).whole()
    }
}

impl FromStr for LabelOp {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_op::tests::any_op;
    use crate::limits;
    use proptest::prelude::*;

    fn leaf(element: &str) -> LabelOp {
        LabelOp::leaf(element).unwrap()
    }

    #[test]
    fn operators_bind_and_need_the_fewest_parentheses() {
        let (a, b, c) = (leaf("a"), leaf("b"), leaf("c"));
        let and = |left: &LabelOp, right: &LabelOp| left.and(right).unwrap();
        let or = |left: &LabelOp, right: &LabelOp| left.or(right).unwrap();
        for (op, text) in [
            (and(&a, &or(&b, &c.not().unwrap())), "a & (b | !c)"),
            (or(&and(&a, &b), &c), "a & b | c"),
            (or(&a, &and(&b, &c)), "a | b & c"),
            (and(&a, &and(&b, &c)), "a & b & c"),
            (or(&a, &or(&b, &c)), "a | b | c"),
            (and(&a, &b).not().unwrap(), "!(a & b)"),
            (a.not().unwrap().not().unwrap(), "!!a"),
            (LabelOp::constant(true).not().unwrap(), "!true"),
            (LabelOp::constant(false), "false"),
        ] {
            assert_eq!(op.to_string(), text);
            assert_eq!(LabelOp::parse(text).unwrap(), op);
        }
    }

    #[test]
    fn elements_that_look_like_identifiers_are_bare() {
        for bare in ["a", "A_1", "_", ".hidden", ":x", "com.solar:earth-1", "a--", "True", "trues"] {
            assert_eq!(leaf(bare).to_string(), bare);
            assert_eq!(LabelOp::parse(bare).unwrap(), leaf(bare));
        }
        for (element, text) in [
            ("1a", r#""1a""#),
            ("-a", r#""-a""#),
            ("true", r#""true""#),
            ("false", r#""false""#),
            ("a b", r#""a b""#),
            ("a&b", r#""a&b""#),
            ("é", r#""é""#),
            ("\"", r#""\"""#),
            ("\\", r#""\\""#),
            ("\n\r\t\0\u{7f}", r#""\n\r\t\u{0}\u{7f}""#),
        ] {
            assert_eq!(leaf(element).to_string(), text);
            assert_eq!(LabelOp::parse(text).unwrap(), leaf(element));
        }
        // Read bare, though not printed so.
        assert_eq!(LabelOp::parse("é1 & 東京").unwrap(), leaf("é1").and(&leaf("東京")).unwrap());
    }

    #[test]
    fn white_space_is_free() {
        let tight = LabelOp::parse("a&(b|!c)").unwrap();
        assert_eq!(LabelOp::parse("  a\n&\t( b |\u{3000}! c )  ").unwrap(), tight);
        assert_eq!(LabelOp::parse("((a))&((b|!(c)))").unwrap(), tight);
        assert_eq!(tight.to_string().parse::<LabelOp>().unwrap(), tight);
    }

    #[test]
    fn errors_name_the_position() {
        for (text, message) in [
            ("", "text is \"\", which ends at position 0: give an element"),
            ("a & ", "text is \"a & \", which ends at position 4: give an element"),
            ("é & )", "with ')' at position 4: give an element"),
            ("a b", "with 'b' at position 2: put `&` or `|` between"),
            ("(a", "which ends at position 2: close the parenthesis"),
            ("a)", "with ')' at position 1: put `&` or `|`"),
            ("1a", "with '1' at position 0: give an element"),
            (r#""a"#, "which ends at position 2: close the element"),
            (r#""\x""#, "with 'x' at position 2: after a backslash"),
            (r#""\u{}""#, "with 'u' at position 2: give `u{`"),
            (r#""\u{d800}""#, "with 'u' at position 2: give `u{`"),
            (r#""\u{0000041}""#, "with 'u' at position 2: give `u{`"),
            (r#""""#, "label element is empty: give 1 to 255 bytes"),
            ("a && b", "with '&' at position 3: give an element"),
        ] {
            let error = LabelOp::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn no_text_exhausts_the_stack_or_passes_the_bounds() {
        let nest = |open: &str, close: &str, levels: usize| {
            LabelOp::parse(&format!("{}a{}", open.repeat(levels), close.repeat(levels)))
        };
        assert_eq!(nest("(", ")", limits::LABEL_OP_DEPTH).unwrap(), leaf("a"));
        let error = nest("(", ")", limits::LABEL_OP_DEPTH + 1).unwrap_err();
        let error = error.to_string();
        assert!(error.ends_with("..., which is nested too deeply at position 64: nest at most 64 levels"), "{error}");
        for (open, close) in [("(", ")"), ("!", ""), ("!(", ")"), ("(a|", ")"), ("(", "")] {
            assert!(nest(open, close, 100_000).is_err());
        }
        assert!(nest("!", "", limits::LABEL_OP_DEPTH - 1).is_ok());
        assert!(nest("!", "", limits::LABEL_OP_DEPTH).is_err());
        assert!(LabelOp::parse(&vec!["a"; 100_000].join("&")).is_err());
        assert!(LabelOp::parse(&"a".repeat(1_000_000)).is_err());
        assert!(LabelOp::parse(&format!("\"{}", "a".repeat(1_000_000))).is_err());
    }

    #[test]
    fn the_deepest_expression_comes_back() {
        // Alternating operators need parentheses at every other level.
        let mut op = leaf("a");
        while let Ok(deeper) = op.or(&leaf("b")).and_then(|op| op.and(&leaf("c"))).and_then(|op| op.not()) {
            op = deeper;
        }
        assert_eq!(LabelOp::parse(&op.to_string()).unwrap(), op);
    }

    /// Takes so many bytes and no more.
    struct Full(usize);

    impl fmt::Write for Full {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    #[test]
    fn what_has_no_room_is_an_error_wherever_it_ends() {
        let op = LabelOp::parse(r#"!(a | "\"\\\n\r\t\u{7} é") & true"#).unwrap();
        let label = crate::label::Label::new(["a"]).unwrap();
        for room in 0..op.to_string().len() {
            assert!(write!(Full(room), "{op}").is_err(), "{room}");
        }
        for room in 0..format!("{label:?}").len() {
            assert!(write!(Full(room), "{label:?}").is_err(), "{room}");
        }
        assert!(write!(Full(op.to_string().len()), "{op}").is_ok());
    }

    proptest! {
        #[test]
        fn printing_comes_back_exactly(op in any_op()) {
            let text = op.to_string();
            let back = LabelOp::parse(&text).unwrap();
            prop_assert_eq!(&back, &op, "{}", text);
            prop_assert_eq!(back.to_string(), text);
        }

        #[test]
        fn no_pair_of_parentheses_can_go(op in any_op()) {
            let text = op.to_string();
            // Elements may hold parentheses themselves; those are in quotes.
            prop_assume!(!text.contains('"'));
            let places = text.match_indices('(').map(|(place, _)| place);
            for open in places {
                let mut level = 0usize;
                let close = text[open..].find(|character| {
                    level = (level + usize::from(character == '(')) - usize::from(character == ')');
                    level == 0
                });
                let close = open + close.unwrap();
                let without = format!("{}{}{}", &text[..open], &text[open + 1..close], &text[close + 1..]);
                prop_assert_ne!(LabelOp::parse(&without).ok(), Some(op.clone()), "{}", text);
            }
        }

        #[test]
        fn any_text_is_an_expression_or_an_error(text in "[ab()&|! \"\\\\u{}1é-]{0,30}") {
            if let Ok(op) = LabelOp::parse(&text) {
                prop_assert_eq!(LabelOp::parse(&op.to_string()).unwrap(), op);
            }
        }
    }
}
