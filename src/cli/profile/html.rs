//! The profile as a self-contained page: a timeline in SVG, and a table that sorts when a heading is clicked.

use std::fmt::Write;

use super::report::{Report, Row, gflops, threads};
use crate::base::template::fill;

/// The page, with `@PLACEHOLDERS@`.
const PAGE: &str = include_str!("page.html");

/// Width of the drawing, in user units.
const WIDTH: f64 = 1200.0;
/// Width of the percentage axis.
const LEFT: f64 = 48.0;
/// Top and bottom of the bars.
const BARS: [f64; 2] = [10.0, 220.0];
/// Top and bottom of the strip below, which also shows steps without multiply-adds.
const STRIP: [f64; 2] = [228.0, 244.0];
/// Height of the drawing.
const HEIGHT: f64 = 300.0;
/// Approximate width of a letter.
const LETTER: f64 = 7.0;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let conditions = format!(
        "Batch {}, {}, {}, median of {} runs on random input, resnetc {}.",
        report.batch,
        threads(report.threads),
        report.isa,
        report.times.runs(),
        env!("CARGO_PKG_VERSION")
    );
    let peak = format!("{:.0} GFLOP/s on {}", report.peak(), threads(report.threads));
    let parts = [
        ("TITLE", escape(&format!("{}: profile", report.network))),
        ("NAME", escape(&report.network)),
        ("CONDITIONS", escape(&conditions)),
        ("TILES", tiles(report)),
        ("PEAK", peak),
        ("TIMELINE", timeline(report)),
        ("SPLIT", split(report)),
        ("LEGEND", legend(report)),
        ("ROWS", rows(report)),
    ];
    fill(PAGE, &parts.each_ref().map(|(word, text)| (*word, text.as_str())))
}

fn tiles(report: &Report) -> String {
    let all = report.sum(|_| true);
    let median = report.times.median();
    let total = gflops(all.macs, median * 1e3);
    let mib = |bytes: usize| bytes as f64 / 1024.0 / 1024.0;
    let others = report.non_winograd();
    let mut list = vec![
        (format!("{median:.2}"), "ms", format!("per run; the fastest took {:.2} ms", report.times.min())),
        (format!("{:.1}", report.images_per_s()), "images/s", format!("steps take {:.2} ms of a run", all.us / 1e3)),
        (format!("{total:.0}"), "GFLOP/s", format!("{:.1} % of the peak, overall", report.percent(total))),
    ];
    if others.steps > 0 {
        let percent = format!("{:.1}", others.weighted);
        list.push((percent, "% of the peak", "convolutions without Winograd, weighted by work".to_owned()));
    }
    let arena = format!("packed; the arena takes {:.1} MiB", mib(report.arena_bytes));
    list.push((format!("{:.1}", mib(report.packed_bytes)), "MiB of weights", arena));
    let mut out = String::new();
    for (number, unit, note) in list {
        let _ = writeln!(out, "<div class=\"tile\"><b>{number} <small>{unit}</small></b><span>{note}</span></div>");
    }
    out
}

/// The steps in order, with their time as width.
fn timeline(report: &Report) -> String {
    let whole = report.sum(|_| true).us.max(f64::MIN_POSITIVE);
    let x = |us: f64| LEFT + us / whole * (WIDTH - LEFT);
    let highest = report.rows.iter().map(|r| report.percent(r.gflops())).fold(100.0, f64::max);
    let tick = if highest > 300.0 { 100.0 } else { 50.0 };
    let top = (highest / tick).ceil() * tick;
    let y = |percent: f64| BARS[1] - percent / top * (BARS[1] - BARS[0]);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Steps of a run as bars: width is time, height the percentage of the peak\">\n"
    );
    let mut percent = 0.0;
    while percent <= top {
        let (at, class) = (y(percent), if percent == 100.0 { "peak" } else { "grid" });
        let _ = writeln!(out, "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(out, "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{percent:.0} %</text>", LEFT - 8.0, at + 4.0);
        percent += tick;
    }
    let mut begin = 0.0;
    for (index, row) in report.rows.iter().enumerate() {
        let (from, to) = (x(begin), x(begin + row.us));
        begin += row.us;
        // a gap between neighbors, if there is space for one
        let width = if to - from > 4.0 { to - from - 1.0 } else { to - from };
        let high = y(report.percent(row.gflops()));
        let _ = write!(
            out,
            "<g class=\"step {}\" data-step=\"{index}\"><title>{}</title>\
             <rect class=\"hit\" x=\"{from:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{}\"/>",
            row.family.name(),
            escape(&tooltip(report, row)),
            BARS[0],
            STRIP[1] - BARS[0],
        );
        if row.macs > 0 {
            let height = BARS[1] - high;
            let _ =
                write!(out, "<rect class=\"bar\" x=\"{from:.2}\" y=\"{high:.1}\" width=\"{width:.2}\" height=\"{height:.1}\"/>");
        }
        let height = STRIP[1] - STRIP[0];
        let _ = writeln!(
            out,
            "<rect class=\"bar\" x=\"{from:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{height}\"/></g>",
            STRIP[0]
        );
    }
    stages(report, &x, &mut out);
    ticks(whole, &x, &mut out);
    out.push_str("</svg>\n");
    out
}

/// Brackets below consecutive steps with a common prefix, such as `layer1.0.conv1` and `layer1.1.conv2`.
fn stages(report: &Report, x: &impl Fn(f64) -> f64, out: &mut String) {
    let stage = |row: &Row| row.name.split('.').next().unwrap_or("").to_owned();
    let mut begin = 0.0;
    for group in report.rows.chunk_by(|a, b| stage(a) == stage(b)) {
        let end = begin + group.iter().map(|r| r.us).sum::<f64>();
        let (from, to) = (x(begin) + 1.0, x(end) - 2.0);
        begin = end;
        let name = stage(&group[0]);
        if to - from < name.chars().count() as f64 * LETTER + 4.0 {
            continue;
        }
        let at = STRIP[1] + 5.0;
        let _ = writeln!(out, "<path class=\"bracket\" d=\"M{from:.1} {at}v4H{to:.1}v-4\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(from, to),
            at + 18.0,
            escape(&name)
        );
    }
}

/// Times along the bottom, at round numbers.
fn ticks(whole: f64, x: &impl Fn(f64) -> f64, out: &mut String) {
    let rough = whole / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|&s| s >= rough).unwrap_or(rough);
    for tick in 0..=(whole / step) as usize {
        let us = tick as f64 * step;
        let text = if step >= 100.0 { format!("{:.*} ms", usize::from(step < 1e3), us / 1e3) } else { format!("{us:.0} µs") };
        // the last one must stay inside the drawing
        let anchor = if tick == 0 {
            "start"
        } else if x(us) > WIDTH - 30.0 {
            "end"
        } else {
            "middle"
        };
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{text}</text>", x(us), HEIGHT - 8.0);
    }
}

/// The tooltip of a bar.
fn tooltip(report: &Report, row: &Row) -> String {
    let mut text = format!(
        "{}\n{}\n{}\n{:.1} µs, {:.1} % of the time",
        row.name,
        row.kernel,
        row.shape(),
        row.us,
        100.0 * report.share(row)
    );
    if row.macs > 0 {
        let _ = write!(text, "\n{:.1} GFLOP/s, {:.1} % of the peak", row.gflops(), report.percent(row.gflops()));
    }
    let _ = write!(text, "\n{:.2} MB, {:.1} GB/s", row.bytes as f64 / 1e6, row.gb_per_s());
    text
}

fn split(report: &Report) -> String {
    let mut out = String::new();
    for (family, sum) in report.families() {
        let _ = write!(out, "<i class=\"{}\" style=\"flex:{:.1} 0 0\"></i>", family.name(), sum.us);
    }
    out
}

fn legend(report: &Report) -> String {
    let whole = report.sum(|_| true).us.max(f64::MIN_POSITIVE);
    let mut out = String::new();
    for (family, sum) in report.families() {
        let _ = writeln!(
            out,
            "<li><i class=\"{0}\"></i>{0} <b>{1:.2} ms</b>, {2:.1} %, {3} step{4}</li>",
            family.name(),
            sum.us / 1e3,
            100.0 * sum.us / whole,
            sum.steps,
            if sum.steps == 1 { "" } else { "s" }
        );
    }
    out
}

fn rows(report: &Report) -> String {
    let mut order: Vec<(usize, &Row)> = report.rows.iter().enumerate().collect();
    order.sort_by(|a, b| b.1.us.total_cmp(&a.1.us));
    let longest = order.first().map_or(0.0, |(_, row)| row.us).max(f64::MIN_POSITIVE);
    let mut out = String::new();
    for (index, row) in order {
        let percent = report.percent(row.gflops());
        let meter = |part: f64| format!("<span class=\"meter\"><i style=\"width:{:.0}%\"></i></span>", 100.0 * part.min(1.0));
        let (speed, of_peak) = match row.macs {
            0 => (String::new(), String::new()),
            _ => (format!("{:.1}", row.gflops()), format!("{percent:.1}{}", meter(percent / 100.0))),
        };
        let _ = writeln!(
            out,
            "<tr class=\"{}\" data-step=\"{index}\"><td>{}</td><td class=\"t\"><i class=\"dot\"></i>{}</td><td class=\"t k\">{}</td>\
             <td class=\"t k\">{}</td><td>{:.1}</td><td>{:.1} %{}</td><td>{speed}</td><td>{of_peak}</td><td>{:.2}</td><td>{:.1}</td></tr>",
            row.family.name(),
            index + 1,
            escape(&row.name),
            escape(&row.kernel),
            row.shape(),
            row.us,
            100.0 * report.share(row),
            meter(row.us / longest),
            row.bytes as f64 / 1e6,
            row.gb_per_s(),
        );
    }
    out
}

/// Escapes text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::Peak;
    use super::*;
    use crate::cli::measure::Series;
    use crate::kernels::Isa;
    use crate::plan::Family;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let row = Row {
            name: "a<b>.\"c@ROWS@".to_owned(),
            kernel: "copy".to_owned(),
            family: Family::Elementwise,
            shape: vec![1, 2],
            us: 0.0,
            best_us: 0.0,
            macs: 0,
            bytes: 16,
        };
        let report = Report {
            network: "</title><script>".to_owned(),
            batch: 1,
            threads: 2,
            isa: Isa::Portable,
            rows: vec![row],
            times: Series::new(vec![1.0]),
            peaks: vec![Peak { threads: 2, gflops: 100.0 }],
            arena_bytes: 0,
            packed_bytes: 0,
            peak_rss_mb: None,
        };
        let page = page(&report);
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains("a&lt;b&gt;.&quot;c@ROWS@") && !page.contains("@NAME@"));
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
