//! Tables of text columns.

use super::failure::Done;
use super::output::Out;

/// Writes a table. Columns from `right_from` on are right-aligned; a line may separate the last row.
pub(super) fn table(out: &mut Out, head: &[&str], right_from: usize, rows: &[Vec<String>], rule_before_last: bool) -> Done {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let render = |cells: &[String]| {
        let parts: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, width))| {
                let fill = " ".repeat(width - cell.chars().count());
                if i >= right_from { format!("{fill}{cell}") } else { format!("{cell}{fill}") }
            })
            .collect();
        parts.join("  ").trim_end().to_string()
    };
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
    out.line(render(&head.iter().map(ToString::to_string).collect::<Vec<_>>()))?;
    out.line(&rule)?;
    for (i, row) in rows.iter().enumerate() {
        if rule_before_last && i + 1 == rows.len() {
            out.line(&rule)?;
        }
        out.line(render(row))?;
    }
    Ok(())
}
