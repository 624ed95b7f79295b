//! Elementwise programs made at random; `fuzz/` searches further with the same checks.

use proptest::prelude::*;

use crate::elementwise;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_program(bytes in proptest::collection::vec(any::<u8>(), 0..240)) {
        elementwise::check(&bytes);
    }
}
