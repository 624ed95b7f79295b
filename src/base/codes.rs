//! The table of all diagnostic codes. `resnetc explain CODE` prints a code's page; a test checks that every code has one.

use super::diagnostic::Code;

/// A code with its title and page.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// One-line title.
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
    SYNTAX = "E0001", "syntax error";
    BRACKETS = "E0002", "brackets do not match";
    STRAY = "E0003", "unexpected character";
    NUMBER = "E0004", "malformed number";
    STRING = "E0005", "unterminated string or unknown escape";
    POSITIONAL = "E0006", "a value needs its key";
    NO_VERSION = "E0007", "the file does not declare its language version";
    UNSUPPORTED_VERSION = "E0008", "unsupported language version";
    LIMIT = "E0009", "the source is too large or nested too deeply";
    // E01xx: names, parameters, values, expansion; E02xx: arguments
    NO_SUCH_FILE = "E0101", "cannot read a file or library";
    NO_SUCH_IMPORT = "E0102", "the file does not define that name";
    USE_CYCLE = "E0103", "files use each other in a cycle";
    DUPLICATE_NAME = "E0104", "a name is defined twice";
    RESERVED_NAME = "E0105", "the name is a reserved word";
    UNKNOWN_NAME = "E0106", "unknown name";
    UNKNOWN_OPERATOR = "E0107", "unknown operator or block";
    UNKNOWN_LABEL = "E0108", "unknown label";
    BAD_VALUE = "E0109", "invalid value";
    BAD_INDEX = "E0110", "index out of range";
    ARITHMETIC = "E0111", "the arithmetic has no valid result";
    TOO_LARGE = "E0112", "the network is too large";
    TOO_DEEP = "E0113", "blocks or networks are nested too deeply";
    MISPLACED = "E0114", "misplaced statement";
    NO_INPUT = "E0115", "missing input";
    NO_PREVIOUS_STAGE = "E0116", "`double` has no previous stage";
    UNUSED_BRANCH = "E0117", "a branch is never joined";
    BAD_NAME = "E0118", "a label is not a valid name";
    DUPLICATE_NODE = "E0119", "two layers have the same name";
    SET_UNKNOWN = "E0120", "`--set` names an unknown parameter";
    SET_FIXED = "E0121", "`--set` names a parameter that is already fixed";
    SET_SYNTAX = "E0122", "malformed `--set`";
    UNUSED_INPUT = "E0123", "an input is never used";
    RECIPE_VALUE = "E0124", "invalid value in the recipe";
    RECIPE_CONFLICT = "E0125", "parts of the recipe conflict";
    FUNCTION = "E0126", "invalid declaration of a function";
    FUNCTION_CYCLE = "E0127", "a function calls itself";
    FUNCTION_TOO_LONG = "E0128", "a function is too long";
    UNUSED_OPERAND = "E0129", "an operand is never used";
    UNKNOWN_KEY = "E0201", "unknown key";
    GIVEN_TWICE = "E0202", "an argument is given twice";
    MISSING_ARGUMENT = "E0203", "an argument is missing";
    TOO_MANY_ARGUMENTS = "E0204", "unexpected argument";
    // E03xx: shapes and design rules; E04xx: expectations
    SHORTCUT_DIFFERS = "E0301", "the shortcut does not match what it is added to";
    OPERANDS_DIFFER = "E0302", "operands differ in shape";
    WINDOW = "E0303", "a kernel does not fit its input";
    GROUPS = "E0304", "channels cannot be divided into groups";
    RANK = "E0305", "wrong rank: a feature map or a vector is needed";
    POOL_PADDING = "E0306", "a pool has too much padding";
    ZERO = "E0307", "an attribute is 0";
    FREE_SIZE = "E0308", "a layer needs a fixed input size";
    VALUE_TOO_LARGE = "E0309", "a tensor is too large";
    NO_SIZE = "E0310", "no input size fits the whole network";
    STAGE_BLOCKS_DIFFER = "E0311", "the blocks of a stage differ";
    HALVED_NOT_DOUBLED = "E0312", "the feature map is halved but the filters are not doubled";
    DOUBLED_NOT_HALVED = "E0313", "the filters change but the feature map is not halved";
    LABELS_DIFFER = "E0314", "the number of labels is not the number of classes";
    IMAGE_DIFFERS = "E0315", "preprocessing does not produce the network's input";
    NO_HEIGHT = "E0316", "a 1-D input has no height";
    PAD_MODE = "E0317", "the padding mode does not fit the input";
    SIZES = "E0318", "the sizes do not fit the value";
    EXPECT_LAYERS = "E0401", "the number of layers is not as expected";
    EXPECT_PARAMS = "E0402", "the number of parameters is not as expected";
    EXPECT_MACS = "E0403", "the number of multiply-adds is not as expected";
    EXPECT_SHAPE = "E0404", "a shape is not as expected";
    EXPECT_UNKNOWN = "E0405", "`expect` names an unknown value";
    // E05xx: weights
    WEIGHTS_SHORTCUT = "E0501", "the checkpoint has different shortcuts";
    WEIGHTS_BLOCK = "E0502", "the checkpoint has different blocks";
    WEIGHTS_DEPTH = "E0503", "the checkpoint has a different number of blocks";
    WEIGHTS_CLASSES = "E0504", "the checkpoint has a different number of classes";
    WEIGHTS_SHAPE = "E0505", "tensors of the checkpoint have different shapes";
    WEIGHTS_MISSING = "E0506", "the checkpoint lacks tensors that the network needs";
    WEIGHTS_UNUSED = "E0507", "the checkpoint has tensors that the network does not use";
    WEIGHTS_NAMES = "E0508", "the checkpoint names its tensors differently";
    WEIGHTS_TYPE = "E0509", "the checkpoint has weights of an unsupported type";
    // W: warnings
    UNUSED_PARAMETER = "W0101", "a parameter is never used";
    UNUSED_IMPORT = "W0102", "an import is never used";
    DUPLICATE_CLASS = "W0103", "two classes have the same label";
    UNUSED_LET = "W0104", "a `let` is never used";
    COMMENT_DIVIDES = "W0105", "a comment looks like a division";
    PIXELS = "W0106", "a mean or standard deviation is larger than any pixel";
    IDENTITY_POOL = "W0107", "a pool changes nothing";
}

/// Looks up a code by its text (`E0301`, case-insensitive).
pub fn find(code: &str) -> Option<&'static CodeInfo> {
    ALL.iter().find(|info| info.code.0.eq_ignore_ascii_case(code))
}
