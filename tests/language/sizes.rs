//! Free height and width: what the checker says of all sizes, held against each size by itself.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use resnetc::internal::check::{Fits, SizeReport, any_size, at_size, sizes};
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::{Axis, Checked, ShapedNetwork};

/// A network of these statements on a free or a fixed input.
fn check(input: &str, body: &str) -> Option<Checked> {
    let text = format!("resnet 1\nnetwork net {{\n  input 2 x {input}\n{body}}}\n");
    Frontend::text("net.resnet", &text).check("net", &[])
}

fn report(body: &str) -> SizeReport {
    sizes(&check("H x W", body).unwrap())
}

#[test]
fn sizes_read_as_sentences() {
    assert_eq!(report("conv 3x3, filters: 4\n").to_string(), "any H, W >= 1");
    assert_eq!(report("conv 3x3, filters: 4, padding: 0\n").to_string(), "any H, W >= 3");
    assert_eq!(report("conv 3x5, filters: 4, padding: 0\n").to_string(), "any H >= 3; any W >= 5");
    let halves = "branch a { maxpool 2x2 }\nmaxpool 3x3, stride: 2\nadd a\n";
    assert_eq!(report(halves).to_string(), "H, W >= 2, multiples of 2");
    let shifted =
        "branch a { conv 3x3, filters: 2, stride: 4, padding: 0 }\nconv 1x1, filters: 2, stride: 4, padding: 0\nadd a\n";
    assert_eq!(report(shifted).to_string(), "H, W >= 3, with remainder 0 or 3 by 4");
    assert_eq!(report("pad 3, mode: reflect\n").to_string(), "any H, W >= 4");
    assert_eq!(report("maxpool 2x2, stride: 1, dilation: 4, padding: 4\n").to_string(), "any H, W >= 4");
    assert_eq!(report("maxpool 3x3, stride: 1, dilation: 4\n").to_string(), "any H, W >= 1");
    let fixed = check("8 x 8", "conv 3x3, filters: 4\n").unwrap();
    assert_eq!(sizes(&fixed).to_string(), "the input size is fixed");
    // rounding up, a window may lack less than a stride
    assert_eq!(report("maxpool 2x2, ceil_mode: true\n").to_string(), "any H, W >= 1");
    assert_eq!(report("maxpool 3x3, stride: 2, padding: 0, ceil_mode: true\n").to_string(), "any H, W >= 2");
    let wide = check("8 x W", "maxpool 2x2\n").unwrap();
    assert_eq!(sizes(&wide).to_string(), "any W >= 2");
    let long = check("W", "pad [8, 2], mode: reflect\n").unwrap();
    assert_eq!(sizes(&long).to_string(), "any W >= 9");
}

#[test]
fn the_paper_networks_run_at_any_size() {
    let body = "conv 7x7, filters: 8, stride: 2\nmaxpool 3x3, stride: 2\n\
                stage a: 2 of basic { filters: 8 }\nstage b: 2 of basic { filters: double, map: halve }\n\
                stage c: 2 of basic { filters: double, map: halve }\nstage d: 2 of basic { filters: double, map: halve }\n\
                avgpool global\nlinear 10\n";
    for shortcut in ["projection", "pad"] {
        let text = format!("resnet 1\nuse std.blocks: basic\nnetwork net {{\ninput 3 x H x W\nshortcut: {shortcut}\n{body}}}\n");
        let checked = Frontend::text("net.resnet", &text).check("net", &[]).unwrap();
        // every padding is that of its window, so that even one pixel passes
        assert_eq!(sizes(&checked).to_string(), "any H, W >= 1", "{shortcut}");
        assert!(at_size(&checked.canonical(), [1, 1]).is_ok());
        assert!(at_size(&checked.canonical(), [0, 1]).is_err());
    }
}

/// A network that states its size, freed of it: at each size what it would be if it stated that.
#[test]
fn a_network_is_freed_of_its_size() {
    let body = "conv 7x7, filters: 8, stride: 2\nbranch a { maxpool 3x3, stride: 2 }\nconv 3x3, filters: 8, stride: 2\nadd a\n\
                avgpool output_size: 3x3\nflatten\nlinear 10\n";
    let freed = any_size(&check("224 x 224", body).unwrap()).unwrap();
    assert_eq!(sizes(&freed).to_string(), "any H, W >= 1");
    for (height, width) in [(224, 224), (31, 40), (1, 2)] {
        let stated = check(&format!("{height} x {width}"), body).unwrap();
        let at = at_size(&freed.canonical(), [height, width]).unwrap();
        assert_eq!(at.types, stated.types);
        let params =
            |checked: &ShapedNetwork| checked.graph().ids().map(|id| checked.graph().node(id).params.len()).sum::<usize>();
        assert_eq!(params(&at), params(&stated));
    }
    let counted = any_size(&check("8 x 8", "conv 3x3, filters: 4\nflatten\nlinear 10 as fc\n").unwrap());
    assert!(counted.unwrap_err().to_string().contains("runs only at its declared input size: at `flatten"));
}

#[test]
fn long_periods_are_said_as_conditions() {
    let body = "branch a { maxpool 2x2, stride: 70001 }\nmaxpool 3x3, stride: 70001, padding: 0\nadd a\n";
    let report = report(body);
    assert!(report.to_string().contains("W >= 3, where (W+69998)/70001 = (W+69999)/70001"), "{report}");
    assert!(report.axes[0].fits(70_002) && !report.axes[0].fits(70_003), "{report}");
}

#[test]
fn absurd_sizes_are_refused() {
    let checked = check("H x W", "conv 3x3, filters: 4\n").unwrap();
    for size in [[usize::MAX, 1], [1, usize::MAX], [1 << 39, 1 << 39], [0, 0]] {
        assert!(at_size(&checked.canonical(), size).is_err(), "{size:?}");
    }
}

/// A statement that slides over the map by this stride, of attributes that the rule accepts.
fn slide(stride: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        (1usize..=5, 0usize..=2, 1usize..=2)
            .prop_map(move |(k, p, d)| format!("conv {k}x{k}, filters: 2, stride: {stride}, padding: {p}, dilation: {d}")),
        (1usize..=5, 0usize..=2).prop_map(move |(k, p)| format!("maxpool {k}x{k}, stride: {stride}, padding: {}", p.min(k / 2))),
        // rounding up has a form where the last window starts before the padding behind the map
        (stride..stride + 4, 0usize..=1).prop_map(move |(k, p)| {
            format!("maxpool {k}x{k}, stride: {stride}, padding: {}, ceil_mode: true", p.min(k / 2).min(k - stride))
        }),
        (2usize..=4, 0usize..=4, 0usize..=4, 2usize..=4).prop_map(move |(k, a, b, d)| {
            let most = (k - 1) * d;
            let (a, b) = (a.min(most), b.min(most));
            format!("maxpool {k}x{k}, stride: {stride}, padding: [{a}, {b}, {b}, {a}], dilation: {d}")
        }),
        (0usize..=3, 0usize..=3).prop_map(move |(a, b)| format!("pad [{a}, {b}, {b}, {a}], mode: reflect\nsubsample {stride}")),
        Just(format!("subsample {stride}")),
        (0usize..=2, 0usize..=2).prop_map(move |(a, b)| format!("pad [{a}, {b}, {b}, {a}]\nsubsample {stride}")),
    ]
}

/// A few statements, and side paths that are added or concatenated: mostly of the strides of the path beside them, so that
/// they can meet, and sometimes not.
fn body() -> impl Strategy<Value = String> {
    let join = prop::sample::select(vec!["add", "concat"]);
    let piece = (1usize..=4, 1usize..=4, 0usize..8, join).prop_flat_map(|(first, other, luck, join)| {
        let second = if luck == 0 { other } else { first };
        (slide(first), slide(second), slide(1), any::<bool>(), Just(join))
    });
    prop::collection::vec(piece, 1..3).prop_map(|pieces| {
        let mut text = "conv 1x1, filters: 2\n".to_string();
        for (i, (main, side, before, joined, join)) in pieces.into_iter().enumerate() {
            text += &match joined {
                false => format!("{before}\n{main}\n"),
                true => format!("branch side{i} {{\n{side}\n}}\n{main}\n{join} side{i}\nconv 1x1, filters: 2\n"),
            };
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is said of free sizes is what each size says of itself: the same ones fit, with the same shapes.
    #[test]
    fn free_sizes_agree_with_each_size(body in body()) {
        let Some(free) = check("H x W", &body) else {
            // refused: then no size may fit that is not small (paths can meet by chance before they part)
            for n in 500..530 {
                prop_assert!(check(&format!("{n} x {n}"), &body).is_none(), "{n} fits:\n{body}");
            }
            return Ok(());
        };
        let report = sizes(&free);
        for n in (1..48).chain([97, 211, 212, 213, 214]) {
            for [h, w] in [[n, n], [n, 480], [480, n]] {
                let fits = report.axes.iter().all(|axis| axis.fits(if axis.axis == Axis::H { h } else { w }));
                let at = at_size(&free.canonical(), [h, w]);
                prop_assert_eq!(fits, at.is_ok(), "{} x {}: {}, {:?}\n{}", h, w, report, at.err(), body);
                let Ok(at) = at else { continue };
                for id in at.graph().ids() {
                    let size = |axis| if axis == Axis::H { h } else { w };
                    let formula: Vec<i64> = free.shape(id).dims().unwrap().iter().map(|d| d.at(size)).collect();
                    let known: Vec<i64> = at.shape(id).sizes().unwrap().into_iter().map(|n| n as i64).collect();
                    prop_assert_eq!(formula, known, "{}\n{}", at.graph().node(id).name, body);
                }
            }
        }
        // and a file that states the size is read the same
        for n in [7usize, 30, 31] {
            let fits = report.axes.iter().all(|axis| axis.fits(n));
            prop_assert_eq!(fits, check(&format!("{n} x {n}"), &body).is_some(), "{}: {}\n{}", n, report, body);
        }
    }
}

/// The property above says nothing of networks that are refused, and little of those without conditions: there are enough
/// of the others.
#[test]
fn the_property_is_not_empty() {
    let mut runner = TestRunner::deterministic();
    let (mut refused, mut any, mut some) = (0, 0, 0);
    for _ in 0..200 {
        let body = body().new_tree(&mut runner).unwrap().current();
        match check("H x W", &body) {
            None => refused += 1,
            Some(free) if sizes(&free).axes.iter().all(|axis| axis.fits == Fits::All) => any += 1,
            Some(_) => some += 1,
        }
    }
    assert!(any >= 40 && some >= 20 && refused >= 20, "{any} fit any size, {some} some, {refused} are refused");
}
