//! Preprocessing, held against what PIL and torchvision made of a small image (`tests/reference/preprocess.py fixtures`).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;

use resnetc::data::{Pixels, load, prepare, resize};
use resnetc::formats::npy;
use resnetc::ir::{Channels, Preprocess, Shape};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from("tests/fixtures/preprocess").join(name)
}

fn picture() -> Pixels {
    load(&fixture("picture.png")).unwrap()
}

/// Reduced and enlarged, to the bit.
#[test]
fn resizing_is_pils() {
    let picture = picture();
    assert_eq!((picture.width, picture.height), (45, 31));
    for size in [12, 24, 50] {
        let expected = load(&fixture(&format!("resize-{size}.png"))).unwrap();
        assert_eq!(expected.height, size);
        // the longer side is cut to whole pixels
        assert_eq!(expected.width, size * 45 / 31);
        assert!(resize(&picture, expected.height, expected.width) == expected, "{size}");
    }
}

/// The whole way: an odd rest at the crop's sides, no rest, and a crop that is larger than the image.
#[test]
fn inputs_are_torchvisions() {
    for (size, crop) in [(24, 15), (18, 18), (20, 26)] {
        let expected = npy::read(&fixture(&format!("resize-{size}-crop-{crop}.npy"))).unwrap();
        let how = Preprocess {
            resize: Some(size),
            crop: Some([crop; 2]),
            channels: Channels::Rgb,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            mean_from: None,
        };
        let (values, shape) = prepare(picture(), &how, &Shape::fixed(&[3, crop, crop])).unwrap();
        assert_eq!(expected.shape(), shape);
        let worst = values.iter().zip(&expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        // one level of 255 is 0.017
        assert!(worst <= 1e-6, "{size}, {crop}: {worst}");
    }
}
