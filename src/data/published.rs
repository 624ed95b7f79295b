//! How published weights expect images: ImageNet's recipe of torchvision, and timm's, which depends on the weights.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::preprocess::{default_preprocess, fixed_size};
use crate::elaborate::nearest;
use crate::ir::{Preprocess, Resampling, Shape};

/// Lines of settings with the weights that have them: see the first one. Made by `tests/reference/timm_configs.py`.
const TIMM: &str = include_str!("timm.txt");

/// The mean and the standard deviation of ImageNet's training images, as torchvision and timm round them.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The input's height and width if a network leaves them free.
const SIDE: usize = 224;

/// How many weights of a network a message lists.
const MAX_LISTED: usize = 8;

/// A way to prepare images, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// What torchvision evaluates its ResNets with: the shorter side is resized to 256 pixels for an input of 224, or in proportion.
    ImageNet,
    /// What timm evaluates weights of this name with: `resnet50.a1_in1k`, or `resnet50` for the default ones.
    Timm(String),
    /// Values from 0 to 1, at the input's size.
    Plain,
}

/// Why there is no such way, or a network cannot have it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishedError {
    /// The network does not read color images.
    #[error("`{how}` prepares color images of 3 channels, and the network reads {input}")]
    Input {
        /// The way.
        how: Published,
        /// The input.
        input: Shape,
    },
    /// The input is not square.
    #[error("`{how}` is defined for square inputs, and the network reads {input}: {WRITE}")]
    Oblong {
        /// The way.
        how: Published,
        /// The input.
        input: Shape,
    },
    /// timm ignores the aspect ratio, and crops.
    #[error(
        "timm resizes images for `{name}` to {size} x {size} whatever their aspect ratio, and crops, which `preprocess` cannot"
    )]
    Squash {
        /// The weights.
        name: String,
        /// The size before the crop.
        size: usize,
    },
    /// The name is not in the table.
    #[error("the table of timm's convolutional networks has no `{name}`{hint}: {WRITE}")]
    Unknown {
        /// The name.
        name: String,
        /// What is like it.
        hint: String,
    },
}

/// What to do where the table does not help.
const WRITE: &str = "write the line into the source, with the numbers of `timm.data.resolve_model_data_config(model)`: \
                     `preprocess { resize: …, crop: …, interpolation: …, mean: […], std: […] }`, where `resize` is the input's size \
                     divided by `crop_pct`, rounded down";

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Published::ImageNet => write!(f, "imagenet"),
            Published::Timm(name) => write!(f, "timm:{name}"),
            Published::Plain => write!(f, "none"),
        }
    }
}

impl FromStr for Published {
    type Err = String;

    fn from_str(text: &str) -> Result<Published, String> {
        match (text, text.strip_prefix("timm:")) {
            ("imagenet", _) => Ok(Published::ImageNet),
            ("none", _) => Ok(Published::Plain),
            (_, Some(name)) if !name.is_empty() => Ok(Published::Timm(name.trim_start_matches("timm/").to_owned())),
            _ => Err("expected imagenet, none, or timm:NAME, for example timm:resnet50.a1_in1k".to_owned()),
        }
    }
}

impl Published {
    /// The preprocessing for a network with this input.
    pub fn preprocess(&self, input: &Shape) -> Result<Preprocess, PublishedError> {
        match (self, input.channels()) {
            (Published::Plain, Some(channels @ (1 | 3))) => return Ok(default_preprocess(channels)),
            (_, Some(3)) if input.dims().is_some_and(|dims| dims.len() == 3) => {}
            _ => return Err(PublishedError::Input { how: self.clone(), input: input.clone() }),
        }
        let size = fixed_size(input);
        if size.is_some_and(|(height, width)| height != width) {
            return Err(PublishedError::Oblong { how: self.clone(), input: input.clone() });
        }
        let side = size.map(|(height, _)| height);
        match self {
            Published::Timm(name) => Settings::find(name)?.preprocess(name, side),
            Published::ImageNet | Published::Plain => {
                let side = side.unwrap_or(SIDE);
                let resize = ((side * 256) as f64 / 224.0).round() as usize;
                Ok(Preprocess {
                    resize: Some(resize),
                    crop: Some([side; 2]),
                    mean: MEAN.into(),
                    std: STD.into(),
                    ..default_preprocess(3)
                })
            }
        }
    }
}

/// A line of the table.
struct Settings {
    /// The sizes of the input in training and in evaluation.
    sides: [usize; 2],
    /// The share of the resized image that the crop takes, at either.
    shares: [f64; 2],
    /// Whether images are resized whatever their aspect ratio.
    is_squashed: bool,
    interpolation: Resampling,
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// The lines of the table: settings, and the weights that have them.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    TIMM.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "))
}

impl Settings {
    fn find(name: &str) -> Result<Settings, PublishedError> {
        let line = lines().find(|(_, names)| names.split(' ').any(|known| known == name));
        line.and_then(|(settings, _)| Settings::read(settings)).ok_or_else(|| unknown(name))
    }

    fn read(text: &str) -> Option<Settings> {
        let words: Vec<&str> = text.split(' ').collect();
        let &[side, test, share, test_share, mode, interpolation, mean, std] = &words[..] else { return None };
        let list = |text: &str| text.split(',').map(|number| number.parse().ok()).collect::<Option<Vec<f32>>>();
        Some(Settings {
            sides: [side.parse().ok()?, test.parse().ok()?],
            shares: [share.parse().ok()?, test_share.parse().ok()?],
            is_squashed: mode == "squash",
            interpolation: Resampling::named(interpolation)?,
            mean: list(mean)?,
            std: list(std)?,
        })
    }

    /// For an input of this size; without one, of the size in training.
    fn preprocess(self, name: &str, side: Option<usize>) -> Result<Preprocess, PublishedError> {
        let side = side.unwrap_or(self.sides[0]);
        let share = self.shares[usize::from(side == self.sides[1])];
        let how = Preprocess { interpolation: self.interpolation, mean: self.mean, std: self.std, ..default_preprocess(3) };
        // `transforms_imagenet_eval` of timm: `math.floor(x / crop_pct)`
        let size = (side as f64 / share).floor() as usize;
        match (self.is_squashed, size == side) {
            (true, true) => Ok(how),
            (true, false) => Err(PublishedError::Squash { name: name.to_owned(), size }),
            (false, _) => Ok(Preprocess { resize: Some(size), crop: Some([side; 2]), ..how }),
        }
    }
}

fn unknown(name: &str) -> PublishedError {
    let network = name.split('.').next().unwrap_or(name);
    let known = || lines().flat_map(|(_, names)| names.split(' '));
    let tagged: Vec<&str> = known().filter(|known| known.strip_prefix(network).is_some_and(|tag| tag.starts_with('.'))).collect();
    let hint = match (&tagged[..], nearest(name, known())) {
        ([], Some(near)) => format!(" (did you mean `{near}`?)"),
        ([], None) => String::new(),
        (tagged, _) => {
            let more = if tagged.len() > MAX_LISTED { ", …" } else { "" };
            let list: Vec<String> = tagged.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
            format!(" (it has {}{more})", list.join(", "))
        }
    };
    PublishedError::Unknown { name: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, Dim};

    fn of(name: &str, side: usize) -> Result<Preprocess, PublishedError> {
        name.parse::<Published>().unwrap().preprocess(&Shape::fixed(&[3, side, side]))
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let mut count = 0;
        for (settings, names) in lines() {
            let found = Settings::read(settings).unwrap_or_else(|| panic!("{settings}"));
            assert_eq!((found.mean.len(), found.std.len()), (3, 3));
            count += names.split(' ').count();
        }
        assert!(count > 1000, "{count}");
    }

    /// The sizes of timm's own transforms.
    #[test]
    fn images_are_resized_as_timm_does() {
        let text = include_str!("../../tests/fixtures/preprocess/timm.txt");
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, side, resize] = words[..] else { panic!("{line}") };
            let [side, resize] = [side, resize].map(|n| n.parse::<usize>().unwrap());
            let how = of(&format!("timm:{name}"), side).unwrap();
            assert_eq!((how.resize, how.crop), (Some(resize), Some([side; 2])), "{line}");
        }
        assert!(text.lines().count() > 50);
    }

    #[test]
    fn torchvisions_recipe_is_in_proportion_to_the_input() {
        for (side, resize) in [(224, 256), (299, 342), (160, 183)] {
            let how = of("imagenet", side).unwrap();
            assert_eq!((how.resize, how.crop, how.interpolation), (Some(resize), Some([side; 2]), Resampling::Bilinear));
        }
        let free = Shape::Known(vec![Dim::Fixed(3), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
        assert_eq!(Published::ImageNet.preprocess(&free).unwrap(), of("imagenet", 224).unwrap());
        assert_eq!(of("none", 32).unwrap(), default_preprocess(3));
    }

    #[test]
    fn the_default_weights_go_without_their_tag() {
        assert_eq!(of("timm:resnet50", 288), of("timm:resnet50.a1_in1k", 288));
        assert_eq!(of("timm:timm/resnet50", 288).unwrap().resize, Some(288));
        // squashed and not cropped: resized to the input
        let squashed = of("timm:convnext_tiny.fb_in22k_ft_in1k_384", 384).unwrap();
        assert_eq!((squashed.resize, squashed.crop, squashed.interpolation), (None, None, Resampling::Bicubic));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let error = |name: &str, side| of(name, side).unwrap_err().to_string();
        assert!(error("timm:resnet50.a9_in1k", 224).contains("it has `resnet50"), "{}", error("timm:resnet50.a9_in1k", 224));
        assert!(error("timm:resnet5o", 224).contains("did you mean"));
        assert!(error("timm:no_such_network_at_all", 224).contains("resolve_model_data_config"));
        assert!(error("timm:dm_nfnet_f0", 192).contains("213 x 213 whatever their aspect ratio"));
        let on = |sizes: &[usize]| Published::ImageNet.preprocess(&Shape::fixed(sizes)).unwrap_err().to_string();
        assert!(on(&[1, 28, 28]).contains("the network reads 1 x 28 x 28"));
        assert!(on(&[3, 64, 32]).contains("square"));
        assert!(on(&[3]).contains("color images"));
        assert!(["timm:", "imagnet", ""].iter().all(|text| text.parse::<Published>().is_err()));
    }
}
