//! The parser of label expressions; the grammar is in the module above.
//!
//! It recurses, as the grammar does, and it reads what any user may type. So it counts the `!` and `(` that are open, and
//! no text can make it go deeper than an expression may be; the operands of a chain it takes in a loop.

use crate::error::InvalidArgument;
use crate::label_op::LabelOp;
use crate::limits;

const OPERAND: &str = "give an element, `true`, `false`, `!` or `(`; put quotes around other text";

pub(super) struct Parser<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
    /// How many `!` and `(` the next character is within.
    open: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, open: 0 }
    }

    /// The one expression that the text is.
    pub(super) fn whole(mut self) -> Result<LabelOp, InvalidArgument> {
        let op = self.or()?;
        self.skip_space();
        match self.peek() {
            None => Ok(op),
            Some(_) => Err(self.unexpected("put `&` or `|` between two elements, and quotes around other text")),
        }
    }

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
            return Err(self.error(", which is nested too deeply", bound));
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
        let found = self.peek().map_or_else(|| ", which ends".to_owned(), |character| format!(" with {character:?}"));
        self.error(&found, bound.to_owned())
    }

    fn error(&self, what: &str, bound: String) -> InvalidArgument {
        const SHOWN: usize = 60;
        let position = self.text[..self.at].chars().count();
        let text = match self.text.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{:?}...", &self.text[..cut]),
            None => format!("{:?}", self.text),
        };
        InvalidArgument::new("text", format!("{text}{what} at position {position}"), bound)
    }
}

fn is_bare_start(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '.' | ':')
}

fn is_bare_tail(character: char) -> bool {
    character.is_alphanumeric() || character == '-'
}
