//! The one table of diagnostic codes. `resnetc explain CODE` prints the page; a test holds that each code has one.

use super::diagnostic::Code;

/// A code with its title and page.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// `docs/errors/CODE.md`.
    pub page: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal;)*) => {
        $($(#[$doc])* #[doc = $title] pub const $name: Code = Code($code);)*

        /// Every code, in order.
        pub const ALL: &[CodeInfo] = &[
            $(CodeInfo {
                code: $name,
                title: $title,
                page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors/", $code, ".md")),
            },)*
        ];
    };
}

codes! {
    // E00xx: reading and syntax
    SYNTAX = "E0001", "the text does not parse here";
    BRACKETS = "E0002", "brackets do not match";
    STRAY = "E0003", "a character is not a part of the language";
    NUMBER = "E0004", "a number is not written as numbers are";
    STRING = "E0005", "a string does not end, or holds an unknown escape";
    POSITIONAL = "E0006", "a value stands where its key is needed";
    NO_VERSION = "E0007", "the file does not say which version of the language it is written in";
    UNSUPPORTED_VERSION = "E0008", "the version of the language is not known";
    LIMIT = "E0009", "the source is larger or nests deeper than is read";
    // E01xx: names, parameters, values, expansion; E02xx: arguments
    NO_SUCH_FILE = "E0101", "a file or library that is used cannot be read";
    NO_SUCH_IMPORT = "E0102", "the file has nothing of that name";
    USE_CYCLE = "E0103", "files use each other in a circle";
    DUPLICATE_NAME = "E0104", "a name is given twice";
    RESERVED_NAME = "E0105", "the name is a word of the language";
    UNKNOWN_NAME = "E0106", "a word names nothing here";
    UNKNOWN_OPERATOR = "E0107", "there is no operator or block of that name";
    UNKNOWN_LABEL = "E0108", "no value has that label";
    BAD_VALUE = "E0109", "the value does not fit";
    BAD_INDEX = "E0110", "the list has no such item";
    ARITHMETIC = "E0111", "the arithmetic has no result";
    TOO_LARGE = "E0112", "the network is too large";
    TOO_DEEP = "E0113", "blocks or networks nest too deep";
    MISPLACED = "E0114", "the statement does not belong here";
    NO_INPUT = "E0115", "there is no input";
    NO_PREVIOUS_STAGE = "E0116", "`double` has nothing to double";
    UNUSED_BRANCH = "E0117", "a branch is never joined";
    BAD_NAME = "E0118", "a label is not a name";
    DUPLICATE_NODE = "E0119", "two layers have one name";
    SET_UNKNOWN = "E0120", "`--set` names no parameter";
    SET_FIXED = "E0121", "`--set` names a parameter that is fixed";
    SET_SYNTAX = "E0122", "`--set` cannot be read";
    UNUSED_INPUT = "E0123", "an input is never read";
    RECIPE_VALUE = "E0124", "a value of the recipe does not fit";
    RECIPE_CONFLICT = "E0125", "parts of the recipe do not go together";
    UNKNOWN_KEY = "E0201", "the key is not known";
    GIVEN_TWICE = "E0202", "an argument is given twice";
    MISSING_ARGUMENT = "E0203", "an argument is missing";
    TOO_MANY_ARGUMENTS = "E0204", "an argument is not expected";
    // E03xx: shapes and design rules; E04xx: expectations
    SHORTCUT_DIFFERS = "E0301", "the shortcut does not fit what it is added to";
    OPERANDS_DIFFER = "E0302", "what is joined differs in shape";
    WINDOW = "E0303", "a window does not fit the map";
    GROUPS = "E0304", "channels cannot be split into groups";
    RANK = "E0305", "a map is needed, or a vector";
    POOL_PADDING = "E0306", "a pool is padded too far";
    ZERO = "E0307", "an attribute is 0";
    FREE_SIZE = "E0308", "a layer needs a fixed size, and it is free";
    VALUE_TOO_LARGE = "E0309", "a value would be too large";
    NO_SIZE = "E0310", "no free size fits the whole network";
    STAGE_BLOCKS_DIFFER = "E0311", "the blocks of a stage differ";
    HALVED_NOT_DOUBLED = "E0312", "the map is halved and the filters are not doubled";
    DOUBLED_NOT_HALVED = "E0313", "the filters change and the map is kept";
    LABELS_DIFFER = "E0314", "there are more labels than classes, or fewer";
    PICTURE_DIFFERS = "E0315", "images do not become what the input takes";
    SIGNAL = "E0316", "a signal has no height";
    PAD_MODE = "E0317", "a map does not have what is to stand around it";
    EXPECT_LAYERS = "E0401", "the number of layers is not as expected";
    EXPECT_PARAMS = "E0402", "the number of parameters is not as expected";
    EXPECT_MACS = "E0403", "the number of multiply-adds is not as expected";
    EXPECT_SHAPE = "E0404", "a shape is not as expected";
    EXPECT_UNKNOWN = "E0405", "an expectation is about nothing";
    // E05xx: weights
    WEIGHTS_SHORTCUT = "E0501", "the checkpoint has other shortcuts";
    WEIGHTS_BLOCK = "E0502", "the checkpoint has other blocks";
    WEIGHTS_DEPTH = "E0503", "the checkpoint has another number of blocks";
    WEIGHTS_CLASSES = "E0504", "the checkpoint has another number of classes";
    WEIGHTS_SHAPE = "E0505", "tensors of the checkpoint have other sizes";
    WEIGHTS_MISSING = "E0506", "the checkpoint lacks tensors that the network needs";
    WEIGHTS_UNUSED = "E0507", "the checkpoint has tensors that the network does not";
    WEIGHTS_NAMES = "E0508", "the checkpoint names its tensors otherwise";
    WEIGHTS_TYPE = "E0509", "the checkpoint has integers where weights are needed";
    // W: warnings
    UNUSED_PARAMETER = "W0101", "a parameter is never used";
    UNUSED_IMPORT = "W0102", "an import is never used";
    DUPLICATE_LABEL = "W0103", "two classes have one label";
    UNUSED_LET = "W0104", "a `let` is never used";
}

/// The entry of a code, looked up by its text (`E0301`, in either case).
pub fn find(code: &str) -> Option<&'static CodeInfo> {
    ALL.iter().find(|info| info.code.0.eq_ignore_ascii_case(code))
}
