//! `augment { … }`.

use super::Entry;
use super::keys::EntryReader;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::Augment;

const KEYS: [&str; 8] = ["pad", "scale", "crop", "random_resized_crop", "flip", "lighting", "color_jitter", "cutout"];

impl EntryReader<'_> {
    /// The augmentations in the order in which they are written. `crop` belongs to `pad` or `scale`, wherever it
    /// is.
    pub fn augment(&mut self, entry: &Entry) -> Option<Vec<Augment>> {
        if !entry.values.is_empty() {
            self.word(entry, &["none"])?;
            self.known("`augment none`", &entry.entries, &[]);
            return Some(Vec::new());
        }
        self.known("`augment`", &entry.entries, &KEYS);
        let find = |key: &str| entry.entries.iter().find(|e| e.key == key);
        let (pad, scale, crop) = (find("pad"), find("scale"), find("crop"));
        let mut list = Vec::new();
        let mut cropped = false;
        for part in &entry.entries {
            if !matches!(part.key.as_str(), "pad" | "scale" | "crop") {
                list.extend(self.change(part));
            } else if !std::mem::replace(&mut cropped, true) {
                list.extend(self.crop(entry, pad, scale, crop));
            }
        }
        Some(list)
    }

    /// One augmentation other than `crop`; `None` if it is disabled or invalid.
    fn change(&mut self, part: &Entry) -> Option<Augment> {
        match part.key.as_str() {
            "random_resized_crop" => {
                let (mut scale, mut ratio) = ([0.08, 1.0], [3.0 / 4.0, 4.0 / 3.0]);
                self.known("`random_resized_crop`", &part.entries, &["area", "ratio"]);
                for key in &part.entries {
                    match key.key.as_str() {
                        "area" => scale = self.range(key, 1e-6, 1.0)?,
                        "ratio" => ratio = self.range(key, 0.01, 100.0)?,
                        _ => {}
                    }
                }
                let size = self.size(part)?;
                Some(Augment::RandomResizedCrop { size, scale: scale.map(|x| x as f32), ratio: ratio.map(|x| x as f32) })
            }
            "flip" => {
                let mut probability = 0.5;
                self.known("`flip`", &part.entries, &["probability"]);
                for key in part.entries.iter().filter(|e| e.key == "probability") {
                    probability = self.number(key, |p| (0.0..=1.0).contains(&p), "a number from 0 to 1")?;
                }
                let horizontal = self.word(part, &["horizontal", "none"])? == "horizontal";
                horizontal.then_some(Augment::Flip { probability: probability as f32 })
            }
            "lighting" => {
                let deviation =
                    self.number(part, |x| (0.0..=10.0).contains(&x), "a standard deviation from 0 to 10; 0.1 in the paper")?;
                Some(Augment::Lighting { deviation: deviation as f32 })
            }
            "color_jitter" => {
                self.known("`color_jitter`", &part.entries, &["brightness", "contrast", "saturation"]);
                self.nothing_more(part, 0);
                let mut amount = |name: &str| match part.entries.iter().find(|e| e.key == name) {
                    Some(key) => self.number(key, |x| (0.0..=10.0).contains(&x), "a number from 0 to 10").map(|x| x as f32),
                    None => Some(0.0),
                };
                let (brightness, contrast, saturation) = (amount("brightness"), amount("contrast"), amount("saturation"));
                Some(Augment::ColorJitter { brightness: brightness?, contrast: contrast?, saturation: saturation? })
            }
            "cutout" => Some(Augment::Cutout { size: self.whole(part, 1, 65_536)? as usize }),
            _ => None,
        }
    }

    fn crop(&mut self, whole: &Entry, pad: Option<&Entry>, scale: Option<&Entry>, crop: Option<&Entry>) -> Option<Augment> {
        if let (Some(pad), Some(scale)) = (pad, scale) {
            let message = "`pad` and `scale` both say how images are cropped";
            let diag = Diagnostic::error(codes::RECIPE_CONFLICT, message, scale.key_span, "the one");
            self.diags.push(diag.label(pad.key_span, "the other"));
            return None;
        }
        let Some(crop) = crop else {
            let needs = pad.or(scale).unwrap_or(whole);
            let message = format!("`{}` needs `crop`, the size of the crop", needs.key);
            self.diags.push(Diagnostic::error(codes::MISSING_ARGUMENT, message, needs.span, "`crop` is not given"));
            return None;
        };
        let size = self.size(crop);
        match (pad, scale) {
            (_, Some(scale)) => {
                let [min, max] = self.range(scale, 1.0, 65_536.0)?;
                let crop = size?;
                if crop.iter().any(|&side| side as f64 > min) {
                    let message =
                        format!("an image whose shorter side has {min} pixels has no room for a {} x {} crop", crop[0], crop[1]);
                    self.diags.push(Diagnostic::error(
                        codes::RECIPE_CONFLICT,
                        message,
                        scale.span,
                        "the smallest scale is too small",
                    ));
                    return None;
                }
                Some(Augment::ScaleJitter { min: min as usize, max: max as usize, crop })
            }
            (pad, None) => {
                let pad = match pad {
                    Some(pad) => self.whole(pad, 0, 65_536)? as usize,
                    None => 0,
                };
                Some(Augment::PadCrop { pad, crop: size? })
            }
        }
    }
}
