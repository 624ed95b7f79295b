//! Functions of numbers, and the width of a block's input.

use super::{codes, elaborate, filters, good};

/// The value of an expression.
fn value(expression: &str) -> usize {
    filters(&good(&format!("network net {{\n input 3 x 8 x 8\n conv 1x1, filters: {expression}\n}}\n")))[0]
}

/// The codes that an expression yields.
fn refused(expression: &str) -> Vec<&'static str> {
    codes(&format!("network net {{\n input 3 x 8 x 8\n conv 1x1, filters: {expression}\n}}\n"), &[])
}

/// The values of torchvision 0.30's `_make_divisible(v, 8)`, equal to those of timm 1.0's `make_divisible(v, 8)`.
#[test]
fn round_to_is_make_divisible() {
    let known = [
        ("0.5", 8),
        ("3.0", 8),
        ("11.9", 16), // 8 would be less than 90 %
        ("12", 16),
        ("24 * 0.75", 24), // 16 would be less than 90 %
        ("32 * 0.75", 24),
        ("40 * 1.1", 48),
        ("16 * 0.35", 8),
        ("96 * 0.35", 32),
        ("320 * 1.3", 416),
        ("1280 * 1.4", 1792),
        ("35", 32),
        ("67.0", 64),
        ("9.6", 16),
        ("27", 32),
        ("72 / 5 + 100 / 7", 32), // 14.4 + 14.29
    ];
    for (v, divisible) in known {
        assert_eq!(value(&format!("round_to({v}, 8)")), divisible, "{v}");
    }
    // timm's further arguments: make_divisible(32, 8, min_value=48), make_divisible(27, 8, round_limit=0)
    assert_eq!(value("round_to(32, 8, min_value: 48)"), 48);
    assert_eq!(value("round_to(27, 8, round_limit: 0)"), 24);
    assert_eq!(value("round_to(x: 27, divisor: 8)"), 32);
}

#[test]
fn what_is_rounded_may_be_a_fraction() {
    let rounded = ["floor(9 / 2)", "ceil(9 / 2)", "floor(7 * 0.5)", "ceil(3)", "floor(5 / 2 * 3)", "10 - floor(-3 / 2)"];
    assert_eq!(rounded.map(value), [4, 5, 3, 3, 7, 12]);
    // only there
    assert_eq!(refused("floor(9 / 2) + 9 / 2"), ["E0111"]);
    assert_eq!(refused("max(9 / 2, 1)"), ["E0111"]);
}

#[test]
fn the_smallest_and_the_largest_number() {
    assert_eq!(["min(4, 3, 5)", "max(4, 3, 5)", "max(2.5, 3)", "floor(min(2.5, 3))"].map(value), [3, 5, 3, 2]);
}

#[test]
fn wrong_arguments_of_a_number_function() {
    assert_eq!(refused("floor()"), ["E0203"]);
    assert_eq!(refused("max(1)"), ["E0203"]);
    assert_eq!(refused("floor(1, 2)"), ["E0204"]);
    assert_eq!(refused("round_to(9, multiple: 8)"), ["E0201"]);
    assert_eq!(refused("floor(true)"), ["E0109"]);
    assert_eq!(refused("round_to(9, 0)"), ["E0109"]);
    assert_eq!(refused("round_to(9, 0.5)"), ["E0109"]);
    assert_eq!(refused("floor(1e300)"), ["E0111"]);
    assert_eq!(refused("round_to(9223372036854775807, 8)"), ["E0111"]);
    assert_eq!(refused("floor(9 / 0)"), ["E0111"]);
}

#[test]
fn a_keyed_argument_among_any_number_of_them_is_an_error() {
    for expression in ["min(a: 1, 2)", "min(1, a: 2, 3)", "max(1, 2, a: 3)", "round_to(divisor: 8, 3)"] {
        let codes = refused(expression);
        assert!(!codes.is_empty(), "{expression}");
    }
}

#[test]
fn a_block_knows_the_channels_of_its_input() {
    let block = "block inverted(filters, expand = 6, hidden = in_channels * expand) {\n \
                 conv 1x1, filters: hidden\n conv 3x3, filters: hidden, groups: hidden\n conv 1x1, filters: filters\n}\n";
    let net = format!("{block}network net {{\n input 4 x 8 x 8\n inverted 8\n inverted 2, expand: 2\n}}\n");
    // in the second one, that of its own input
    assert_eq!(filters(&good(&net)), [24, 24, 8, 16, 16, 2]);
    // a parameter of the name is a parameter
    let own = "block own(in_channels) {\n conv 1x1, filters: in_channels\n}\nnetwork net {\n input 4 x 8 x 8\n own 5\n}\n";
    assert_eq!(filters(&good(own)), [5]);
    // arguments belong to the body that calls
    let outer = "block inner(filters) {\n conv 1x1, filters: filters\n}\nblock outer {\n conv 1x1, filters: 7\n inner in_channels\n}\n\
                 network net {\n input 4 x 8 x 8\n outer\n}\n";
    assert_eq!(filters(&good(outer)), [7, 4]);
    let scaled = "block scaled {\n apply x / in_channels\n}\nnetwork net {\n input 4 x 8 x 8\n scaled\n}\n";
    good(scaled);
}

#[test]
fn a_depthwise_convolution_is_a_conv_of_single_channels() {
    let short = good(
        "network net {\n input 4 x 8 x 8\n conv 1x1, filters: 6\n depthwise 3x3, stride: 2\n depthwise 5x5, multiplier: 2\n}\n",
    );
    let long = good(
        "network net {\n input 4 x 8 x 8\n conv 1x1, filters: 6\n conv 3x3, filters: 6, groups: 6, stride: 2\n \
         conv 5x5, filters: 12, groups: 6\n}\n",
    );
    let layers = |net: &crate::ir::Network| {
        net.graph.ids().map(|id| net.graph.node(id).clone()).map(|n| (n.op, n.name)).collect::<Vec<_>>()
    };
    assert_eq!(layers(&short), layers(&long));
    assert_eq!(codes("network net {\n input 4\n depthwise 3x3\n}\n", &[]), [""; 0]); // the checker reports the rank
    assert_eq!(codes("network net {\n input 4 x 8 x 8\n depthwise 3x3, filters: 4\n}\n", &[]), ["E0201"]);
    let many = "network net {\n input 1_000_000_000 x 1 x 1\n depthwise 1x1, multiplier: 1_000_000_000_000\n}\n";
    assert_eq!(codes(many, &[]), ["E0109"]);
}

#[test]
fn there_is_no_block_around_a_network() {
    let (_, diags) = elaborate("network net {\n input 4 x 8 x 8\n conv 1x1, filters: in_channels\n}\n", &[]);
    let reported: Vec<_> = diags.iter().map(|d| (d.code.0, d.helps[0].text.contains("in a block"))).collect();
    assert_eq!(reported, [("E0106", true)]);
}
