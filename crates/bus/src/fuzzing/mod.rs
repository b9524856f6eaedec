//! What fuzzers run: everything that reads bytes of another process, and what must hold whatever they are.
//!
//! There are no copies of the production code here and no second set of functions for tests: `fuzz/` calls these with
//! bytes of its own making, under AddressSanitizer, and the tests below run the cases that were kept. They are in the crate
//! because most of what they call is nobody else's business, and are compiled for fuzzers and tests only.

#[path = "../../../transport/src/case.rs"]
mod case;
mod channel;
mod control;
mod directory;
mod expression;
mod parking;

pub use channel::channel;
pub use control::control;
pub use directory::directory;
pub use expression::expression;
pub use parking::parking;

#[cfg(test)]
mod tests {
    use super::case::replay;

    #[test]
    fn the_channel_corpus_is_harmless() {
        replay("channel", super::channel);
    }

    #[test]
    fn the_control_corpus_is_harmless() {
        replay("control", super::control);
    }

    #[test]
    fn the_directory_corpus_is_harmless() {
        replay("directory", super::directory);
    }

    #[test]
    fn the_expression_corpus_is_harmless() {
        replay("expression", super::expression);
    }

    #[test]
    fn the_parking_corpus_is_harmless() {
        replay("parking", super::parking);
    }
}
