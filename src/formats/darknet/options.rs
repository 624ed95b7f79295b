//! Reads the options of a section by name and type.

use crate::syntax::cfg::Section;

/// The largest number that a size may be, far above any use.
const MAX_SIZE: usize = 1 << 24;

/// The options of a section.
pub(super) struct Options<'a>(pub &'a Section<'a>);

impl<'a> Options<'a> {
    /// The value of an option; the first one, as in Darknet.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.0.options.iter().find(|option| option.key == key).map(|option| option.value)
    }

    /// A number that may be left out.
    pub fn size(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match text.parse::<usize>() {
            Ok(size) if size <= MAX_SIZE => Ok(Some(size)),
            _ => Err(format!("its `{key}` is `{text}`, but must be a number from 0 to {MAX_SIZE}")),
        }
    }

    /// A number above 0.
    pub fn positive(&self, key: &str, default: usize) -> Result<usize, String> {
        match self.size(key)?.unwrap_or(default) {
            0 => Err(format!("its `{key}` is 0")),
            size => Ok(size),
        }
    }

    /// Whether an option is not 0.
    pub fn flag(&self, key: &str) -> Result<bool, String> {
        Ok(self.size(key)?.unwrap_or(0) != 0)
    }

    /// A real number.
    pub fn float(&self, key: &str, default: f32) -> Result<f32, String> {
        let Some(text) = self.text(key) else { return Ok(default) };
        text.parse::<f32>()
            .ok()
            .filter(|value| value.is_finite())
            .ok_or_else(|| format!("its `{key}` is `{text}`, but must be a number"))
    }

    /// Layers before layer `index`, as numbers from the first on, or backwards from this one if negative.
    pub fn layers(&self, key: &str, index: usize) -> Result<Vec<usize>, String> {
        let text = self.text(key).filter(|text| !text.is_empty()).ok_or_else(|| format!("it has no `{key}`"))?;
        let layer = |item: &str| {
            let item = item.trim();
            let number: i64 = item.parse().map_err(|_| format!("its `{key}` is `{text}`, but must list layers"))?;
            let from = if number < 0 { i64::try_from(index).unwrap_or(i64::MAX).saturating_add(number) } else { number };
            usize::try_from(from).ok().filter(|&from| from < index).ok_or_else(|| {
                format!("its `{key}` names layer {item}, but only layers before it, 0 to {}, can be read", index - 1)
            })
        };
        if index == 0 {
            return Err(format!("its `{key}` names a layer, but it is the first"));
        }
        text.trim_end_matches(',').split(',').map(layer).collect()
    }
}
