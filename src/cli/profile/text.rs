//! The profile as text.

use std::fmt::Write;

use super::report::{Report, gflops, threads};

/// One row per step, and the totals.
pub(super) fn table(report: &Report) -> String {
    let mut out = String::new();
    let head = ["step", "kernel", "output", "time us", "share", "GFLOP/s", "% peak", "MB", "GB/s"].map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(head)
        .chain(report.rows.iter().map(|row| {
            let work = |text: String| if row.macs > 0 { text } else { String::new() };
            [
                row.name.clone(),
                row.kernel.clone(),
                row.shape(),
                format!("{:.1}", row.us),
                format!("{:.1} %", 100.0 * report.share(row)),
                work(format!("{:.1}", row.gflops())),
                work(format!("{:.1}", report.percent(row.gflops()))),
                format!("{:.2}", row.bytes as f64 / 1e6),
                format!("{:.1}", row.gb_per_s()),
            ]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..9).map(width).collect();
    let _ = writeln!(
        out,
        "{}, batch {}, {} threads, {}, {} runs",
        report.network,
        report.batch,
        report.threads,
        report.isa,
        report.times.runs()
    );
    for row in &rows {
        let mut line = String::new();
        for (column, (text, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column < 3 { write!(line, "{text:<width$}  ") } else { write!(line, "{text:>width$}  ") };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    totals(report, &mut out);
    out
}

fn totals(report: &Report, out: &mut String) {
    let all = report.sum(|_| true);
    let median = report.times.median();
    let total = gflops(all.macs, median * 1e3);
    let mib = |bytes: usize| bytes as f64 / 1024.0 / 1024.0;
    let _ = writeln!(out);
    let _ = writeln!(
        out,
        "time      {median:.3} ms (steps {:.3} ms, best run {:.3} ms), {:.1} images/s",
        all.us / 1e3,
        report.times.min(),
        report.images_per_s()
    );
    let _ = writeln!(
        out,
        "work      {:.3} GFLOP, {total:.1} GFLOP/s, {:.1} % of the peak",
        2.0 * all.macs as f64 / 1e9,
        report.percent(total)
    );
    let others = report.non_winograd();
    if others.steps > 0 {
        let _ = writeln!(
            out,
            "          {} convolutions without Winograd, {:.3} ms: {:.1} % of the peak weighted by work (shortest times {:.1} %), {:.1} % overall",
            others.steps,
            others.us / 1e3,
            others.weighted,
            others.weighted_best,
            report.percent(gflops(others.macs, others.us))
        );
    }
    for (family, sum) in report.families() {
        let _ = writeln!(out, "          {:<11} {:>8.3} ms  {:>5.1} %", family.name(), sum.us / 1e3, 100.0 * sum.us / all.us);
    }
    let peaks: Vec<String> = report.peaks.iter().map(|p| format!("{:.1} GFLOP/s on {}", p.gflops, threads(p.threads))).collect();
    let _ = writeln!(out, "peak      {}", peaks.join(", "));
    let rss = report.peak_rss_mb.map_or_else(String::new, |mb| format!(", peak RSS {mb} MB"));
    let _ = writeln!(
        out,
        "memory    arena {:.1} MiB, packed weights {:.1} MiB{rss}",
        mib(report.arena_bytes),
        mib(report.packed_bytes)
    );
}
