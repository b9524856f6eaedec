//! The text form of label expressions: printing and parsing.
//!
//! The grammar, loosest first: `or = and ('|' and)*`, `and = unary ('&' unary)*`, `unary = '!' unary | '(' or ')' | element`.
//! White space between tokens is free. An element is printed bare when it is made of ASCII letters, digits and `_ . : -`,
//! does not start with a digit or `-`, and is neither `true` nor `false`; everything else is printed in double quotes. The
//! parser also takes the letters and digits of other scripts bare, because people type them; they are not *printed* bare so
//! that two expressions that look alike in a log are alike. In quotes, `\"`, `\\`, `\n`, `\r`, `\t` and `\u{hex}` stand for
//! a character; printing uses them for quotes, backslashes and control characters.
//!
//! The parser counts the `!` and `(` that are open, so that no text can make it recurse deeper than an expression may be.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::error::InvalidArgument;
use crate::label_op::{LabelOp, Node};
use crate::limits;

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
        let mut parser = Parser { text, at: 0, open: 0 };
        let op = parser.or()?;
        parser.skip_space();
        match parser.peek() {
            None => Ok(op),
            Some(_) => Err(parser.unexpected("put `&` or `|` between two elements, and quotes around other text")),
        }
    }
}

impl FromStr for LabelOp {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::parse(text)
    }
}

const OPERAND: &str = "give an element, `true`, `false`, `!` or `(`; put quotes around other text";

struct Parser<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
    /// How many `!` and `(` the next character is within.
    open: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<LabelOp, InvalidArgument> {
        let mut op = self.and()?;
        while self.eat('|') {
            op = op.or(&self.and()?)?;
        }
        Ok(op)
    }

    fn and(&mut self) -> Result<LabelOp, InvalidArgument> {
        let mut op = self.unary()?;
        while self.eat('&') {
            op = op.and(&self.unary()?)?;
        }
        Ok(op)
    }

    fn unary(&mut self) -> Result<LabelOp, InvalidArgument> {
        self.skip_space();
        match self.peek() {
            Some('!') => {
                self.enter()?;
                let inner = self.unary()?;
                self.open -= 1;
                inner.not()
            }
            Some('(') => {
                self.enter()?;
                let inner = self.or()?;
                if !self.eat(')') {
                    return Err(self.unexpected("close the parenthesis with `)`"));
                }
                self.open -= 1;
                Ok(inner)
            }
            Some('"') => {
                self.next();
                let element = self.quoted()?;
                LabelOp::leaf(element)
            }
            Some(first) if is_bare_start(first) => {
                let word = self.word();
                match word {
                    "true" => Ok(LabelOp::constant(true)),
                    "false" => Ok(LabelOp::constant(false)),
                    element => LabelOp::leaf(element),
                }
            }
            _ => Err(self.unexpected(OPERAND)),
        }
    }

    /// Steps over one `!` or `(`.
    fn enter(&mut self) -> Result<(), InvalidArgument> {
        self.open += 1;
        if self.open > limits::LABEL_OP_DEPTH {
            let bound = format!("nest at most {} levels", limits::LABEL_OP_DEPTH);
            return Err(self.error("too deeply nested", bound));
        }
        self.next();
        Ok(())
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|character| !is_bare_start(character) && !is_bare_tail(character)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The rest of a quoted element, whose opening quote has been read.
    fn quoted(&mut self) -> Result<String, InvalidArgument> {
        let mut element = String::new();
        loop {
            // One past the bound is enough to be refused, so a long text is not collected.
            if element.len() > limits::LABEL_ELEMENT_BYTES {
                return Ok(element);
            }
            match self.next() {
                Some('"') => return Ok(element),
                Some('\\') => element.push(self.escape()?),
                Some(character) => element.push(character),
                None => return Err(self.unexpected("close the element with `\"`")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, InvalidArgument> {
        const ESCAPES: &str = r#"after a backslash give `"`, `\`, `n`, `r`, `t` or `u{hex}`"#;
        let literal = match self.peek() {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.code_point(),
            _ => return Err(self.unexpected(ESCAPES)),
        };
        self.next();
        Ok(literal)
    }

    /// `u{hex}`, one to six digits.
    fn code_point(&mut self) -> Result<char, InvalidArgument> {
        let rest = &self.text[self.at..];
        let digits = rest.strip_prefix("u{").and_then(|rest| rest.split_once('}')).map(|(digits, _)| digits);
        let character = digits
            .filter(|digits| (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).zip(Some(digits.len())));
        match character {
            Some((character, len)) => {
                self.at += len + 3;
                Ok(character)
            }
            None => Err(self.unexpected("give `u{`, one to six hexadecimal digits of a character, and `}`")),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Steps over the character when it comes next, after white space.
    fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        let there = self.peek() == Some(wanted);
        if there {
            self.next();
        }
        there
    }

    fn unexpected(&self, bound: &str) -> InvalidArgument {
        let found = self.peek().map_or_else(|| "at its end".to_owned(), |character| format!("{character:?}"));
        self.error(&found, bound.to_owned())
    }

    fn error(&self, what: &str, bound: String) -> InvalidArgument {
        let position = self.text[..self.at].chars().count();
        InvalidArgument::new("label op text", format!("{what} at position {position}"), bound)
    }
}

fn is_bare_start(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '.' | ':')
}

fn is_bare_tail(character: char) -> bool {
    character.is_alphanumeric() || character == '-'
}
