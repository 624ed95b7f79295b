//! Turns a sample into a network's input: with the recipe's augmentation in training, with only the network's preprocessing in evaluation.

use super::augment::{jitter, lighting, random_position, random_rectangle};
use super::preprocess::{Tables, check_mean, default_preprocess, fit, normalize, shorter_side};
use super::{DataError, Dataset, Pixels, PrepareError, Rng, Sample, Values, resize};
use crate::ir::{Augment, Channels, Dim, Preprocess, Shape, one_dimensional};

/// Produces inputs of a single size. The caller provides the random numbers.
#[derive(Clone, Debug)]
pub struct Transform {
    how: Preprocess,
    augment: Vec<Augment>,
    tables: Tables,
    /// Whether images are resized and cropped as in evaluation before augmentation. Otherwise augmentation determines the size.
    fit: bool,
    /// Height and width of the network's input, unless they are free.
    fixed: Option<(usize, usize)>,
    size: [usize; 3],
}

impl Transform {
    /// Checks that a dataset, the augmentation of a recipe, and a network's input (channels, height, width; the latter two may be free) fit
    /// together. Without `preprocess`, values are from 0 to 1.
    pub fn new(
        dataset: &dyn Dataset,
        input: &Shape,
        preprocess: Option<&Preprocess>,
        augment: &[Augment],
    ) -> Result<Transform, DataError> {
        let lifted = one_dimensional::lift(input);
        let Some([Dim::Fixed(channels), h, w]) = lifted.dims() else {
            return Err(DataError::Recipe(format!("the network reads {input}, but a sample is channels x height x width")));
        };
        let how = preprocess.cloned().unwrap_or_else(|| default_preprocess(*channels));
        let fixed = h.fixed().zip(w.fixed());
        let fit = !augment.iter().any(|a| matches!(a, Augment::ScaleJitter { .. } | Augment::RandomResizedCrop { .. }));
        let first = if dataset.is_normalized() {
            Some(normalized_size(dataset, *channels, input, augment)?)
        } else {
            let made = if how.channels == Channels::Gray { 1 } else { 3 };
            if made != *channels {
                let source = PrepareError::Channels { network: *channels, preprocess: made };
                return Err(DataError::Recipe(source.to_string()));
            }
            if how.mean_image().is_some() {
                check_value_augments(augment, "the network subtracts a per-pixel mean, which comes first")?;
            }
            if made == 1 && augment.iter().any(|a| matches!(a, Augment::Lighting { .. })) {
                return Err(DataError::Recipe("`lighting` changes colors, but the network reads gray images".to_owned()));
            }
            let common = || dataset.common_size().filter(|_| how.resize.is_none()).map(|[_, h, w]| [h, w]);
            how.crop.or(fixed.map(|(h, w)| [h, w])).or_else(common).filter(|_| fit)
        };
        let Some([height, width]) = size_after(first, augment)? else {
            return Err(DataError::Recipe(
                "the network reads images of any size, but a batch needs a single size: set `crop` in `augment` or `preprocess`"
                    .to_owned(),
            ));
        };
        if !fits(*h, height) || !fits(*w, width) {
            return Err(DataError::Recipe(format!(
                "samples are {channels} x {height} x {width} after augmentation, but the network reads {input}"
            )));
        }
        if let (false, Some([h, w])) = (dataset.is_normalized(), first) {
            check_mean(&how, channels * h * w).map_err(|e| DataError::Recipe(e.to_string()))?;
        }
        let tables = Tables::new(&how);
        Ok(Transform { how, augment: augment.to_vec(), tables, fit, fixed, size: [*channels, height, width] })
    }

    /// Channels, height and width of the result.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Whether the recipe augments samples.
    pub(super) fn augments(&self) -> bool {
        !self.augment.is_empty()
    }

    /// The required height and width of images, and whether they may be larger; `None` if they are resized.
    pub(super) fn required_size(&self) -> Option<([usize; 2], bool)> {
        if !self.fit || self.how.resize.is_some() {
            return None;
        }
        match (self.how.crop, self.fixed) {
            (Some(crop), _) => Some((crop, true)),
            (None, Some((h, w))) => Some(([h, w], false)),
            (None, None) => None,
        }
    }

    /// Preprocesses and augments a sample. The length of `out` is the product of [`Transform::size`].
    pub fn apply(&self, sample: Sample, rng: &mut Rng, out: &mut [f32]) -> Result<(), PrepareError> {
        match sample {
            Sample::Pixels(pixels) => self.image(pixels, rng, out)?,
            Sample::Values(values) => self.values(values, rng, out)?,
        }
        for augment in &self.augment {
            if let Augment::Cutout { size } = *augment {
                let center = [rng.below(self.size[1]), rng.below(self.size[2])];
                cut_out(out, self.size, center, size);
            }
        }
        Ok(())
    }

    fn image(&self, pixels: Pixels, rng: &mut Rng, out: &mut [f32]) -> Result<(), PrepareError> {
        // augmentation works on RGB; normalization applies the network's channel order
        let mut image = pixels.convert(if self.how.channels == Channels::Gray { Channels::Gray } else { Channels::Rgb });
        if self.fit {
            image = fit(image, &self.how, self.fixed)?;
        }
        if self.how.mean_image().is_some() {
            // as in the paper, the mean is subtracted first, so that padding is 0
            let mut data = vec![0.0; self.size[0] * image.height * image.width];
            check_mean(&self.how, data.len())?;
            normalize(&image, &self.tables, &mut data);
            return self.values(Values { size: [self.size[0], image.height, image.width], data }, rng, out);
        }
        let mut light = [0.0; 3];
        for augment in &self.augment {
            match *augment {
                Augment::PadCrop { pad, crop } => {
                    let [top, left] = random_position([image.height + 2 * pad, image.width + 2 * pad], crop, rng);
                    image = image.crop(top - pad as i64, left - pad as i64, crop[0], crop[1]);
                }
                Augment::Flip { probability } => {
                    if rng.chance(probability.into()) {
                        image.flip();
                    }
                }
                Augment::ScaleJitter { min, max, crop } => {
                    image = shorter_side(image, min + rng.below(max - min + 1), self.how.interpolation)?;
                    let [top, left] = random_position([image.height, image.width], crop, rng);
                    image = image.crop(top, left, crop[0], crop[1]);
                }
                Augment::RandomResizedCrop { size: [height, width], scale, ratio } => {
                    let [top, left, h, w] = random_rectangle([image.height, image.width], scale, ratio, rng);
                    image = resize(&image.crop(top as i64, left as i64, h, w), height, width, self.how.interpolation);
                }
                Augment::ColorJitter { brightness, contrast, saturation } => {
                    jitter(&mut image, [brightness, contrast, saturation], rng);
                }
                Augment::Lighting { deviation } => {
                    let offsets = lighting(deviation, rng);
                    light.iter_mut().zip(offsets).for_each(|(sum, offset)| *sum += offset);
                }
                Augment::Cutout { .. } => {}
            }
        }
        self.check_size([self.size[0], image.height, image.width])?;
        normalize(&image, &self.tables, out);
        if light != [0.0; 3] {
            let plane = image.width * image.height;
            for (c, values) in out.chunks_exact_mut(plane.max(1)).enumerate() {
                let color = if self.how.channels == Channels::Bgr { 2 - c } else { c };
                let add = light[color] / self.how.std.get(c).copied().unwrap_or(1.0);
                values.iter_mut().for_each(|v| *v += add);
            }
        }
        Ok(())
    }

    /// Normalized values allow only some augmentations: see [`normalized_size`].
    fn values(&self, mut values: Values, rng: &mut Rng, out: &mut [f32]) -> Result<(), PrepareError> {
        for augment in &self.augment {
            match *augment {
                Augment::PadCrop { pad, crop } => {
                    let [_, height, width] = values.size;
                    let [top, left] = random_position([height + 2 * pad, width + 2 * pad], crop, rng);
                    values = values.crop(top - pad as i64, left - pad as i64, crop);
                }
                Augment::Flip { probability } => {
                    if rng.chance(probability.into()) {
                        values.flip();
                    }
                }
                Augment::ScaleJitter { .. }
                | Augment::RandomResizedCrop { .. }
                | Augment::ColorJitter { .. }
                | Augment::Lighting { .. }
                | Augment::Cutout { .. } => {}
            }
        }
        self.check_size(values.size)?;
        out.copy_from_slice(&values.data);
        Ok(())
    }

    fn check_size(&self, found: [usize; 3]) -> Result<(), PrepareError> {
        if found == self.size { Ok(()) } else { Err(PrepareError::Size { found, expected: self.size }) }
    }
}

fn fits(dim: Dim, size: usize) -> bool {
    dim.fixed().is_none_or(|fixed| fixed == size)
}

/// Checks that the recipe only uses augmentations that work on normalized values.
fn check_value_augments(augment: &[Augment], why: &str) -> Result<(), DataError> {
    for change in augment {
        match change {
            Augment::PadCrop { .. } | Augment::Flip { .. } | Augment::Cutout { .. } => {}
            Augment::ScaleJitter { .. }
            | Augment::RandomResizedCrop { .. }
            | Augment::ColorJitter { .. }
            | Augment::Lighting { .. } => {
                return Err(DataError::Recipe(format!(
                    "the recipe's {} works on images, but {why}; only `pad`, `crop`, `flip` and `cutout` work then",
                    change.name()
                )));
            }
        }
    }
    Ok(())
}

/// Height and width of normalized samples. Only padding, cropping, flipping and cutout work on them.
fn normalized_size(dataset: &dyn Dataset, channels: usize, input: &Shape, augment: &[Augment]) -> Result<[usize; 2], DataError> {
    check_value_augments(augment, &format!("`{}` contains normalized values", dataset.name(0)))?;
    let found = dataset.common_size().map_or_else(|| dataset.size(0), Ok)?;
    let shape =
        |found: [usize; 3]| DataError::Shape { path: dataset.name(0), found: found.to_vec(), expected: input.to_string() };
    if found[0] != channels {
        return Err(shape(found));
    }
    if !augment.iter().any(|a| matches!(a, Augment::PadCrop { .. }))
        && let Some([_, h, w]) = one_dimensional::lift(input).dims()
        && !(fits(*h, found[1]) && fits(*w, found[2]))
    {
        return Err(shape(found));
    }
    Ok([found[1], found[2]])
}

/// Height and width after augmentation; `None` if they depend on the image.
fn size_after(first: Option<[usize; 2]>, augment: &[Augment]) -> Result<Option<[usize; 2]>, DataError> {
    let mut size = first;
    for change in augment {
        match *change {
            Augment::PadCrop { pad, .. } if pad > MAX_SIDE => {
                return Err(DataError::Recipe(format!("`pad` of {pad} pixels exceeds {MAX_SIDE}")));
            }
            Augment::PadCrop { pad, crop } => {
                if let Some([height, width]) = size {
                    let padded = [height, width].map(|side| side.saturating_add(pad.saturating_mul(2)));
                    if padded[0] < crop[0] || padded[1] < crop[1] {
                        return Err(DataError::Recipe(format!(
                            "`crop` cuts {} x {} pixels out of samples of {height} x {width}, padded to {} x {}",
                            crop[0], crop[1], padded[0], padded[1]
                        )));
                    }
                }
                size = Some(crop);
            }
            Augment::ScaleJitter { min, max, crop } => {
                if min > max || crop.iter().any(|&side| side > min) {
                    return Err(DataError::Recipe(format!(
                        "`scale` resizes the shorter side to {min} to {max} pixels, but `crop` needs {} x {}",
                        crop[0], crop[1]
                    )));
                }
                size = Some(crop);
            }
            Augment::RandomResizedCrop { size: result, .. } => size = Some(result),
            Augment::Flip { .. } | Augment::ColorJitter { .. } | Augment::Lighting { .. } | Augment::Cutout { .. } => {}
        }
        if size.is_some_and(|sides| sides.iter().any(|&side| !(1..=MAX_SIDE).contains(&side))) {
            return Err(DataError::Recipe(format!(
                "the recipe's {} must produce images with sides of 1 to {MAX_SIDE} pixels",
                change.name()
            )));
        }
    }
    Ok(size)
}

/// The largest width or height of a crop.
const MAX_SIDE: usize = 1 << 16;

/// Sets a square around a pixel to 0, clipped at the edges.
fn cut_out(out: &mut [f32], [_, height, width]: [usize; 3], center: [usize; 2], size: usize) {
    let range = |center: usize, side: usize| {
        let size = size.min(2 * MAX_SIDE);
        let start = center as i64 - (size / 2) as i64;
        let end = start + size as i64;
        start.clamp(0, side as i64) as usize..end.clamp(0, side as i64) as usize
    };
    let (rows, columns) = (range(center[0], height), range(center[1], width));
    for plane in out.chunks_exact_mut((height * width).max(1)) {
        for row in plane.chunks_exact_mut(width.max(1)).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{Packed, PackedFile, RecordLayout};
    use super::super::prepare;
    use super::*;
    use crate::ir::{Axis, Resampling};

    /// A dataset with one image of 4 x 6 pixels, with bytes 1, 2, 3, ….
    fn images(channels: usize) -> Packed {
        let bytes: Vec<u8> = (0..channels * 24).map(|i| (i + 1) as u8).collect();
        let file = PackedFile { name: "p".into(), records: bytes.into() };
        Packed::new(RecordLayout { head: 0, size: [channels, 4, 6] }, vec![file], vec![0], Vec::new())
    }

    /// The same values, normalized.
    struct Normalized;

    impl Dataset for Normalized {
        fn len(&self) -> usize {
            1
        }
        fn classes(&self) -> &[String] {
            &[]
        }
        fn label(&self, _: usize) -> u32 {
            0
        }
        fn read(&self, _: usize) -> Result<Sample, DataError> {
            Ok(Sample::Values(Values { size: [3, 4, 6], data: (1..=72).map(|v| v as f32 / 255.0).collect() }))
        }
        fn name(&self, _: usize) -> String {
            "x.npy".into()
        }
        fn size(&self, _: usize) -> Result<[usize; 3], DataError> {
            Ok([3, 4, 6])
        }
        fn common_size(&self) -> Option<[usize; 3]> {
            Some([3, 4, 6])
        }
        fn is_normalized(&self) -> bool {
            true
        }
    }

    fn draw(dataset: &dyn Dataset, input: [usize; 3], augment: &[Augment], seed: u64) -> Vec<f32> {
        let transform = Transform::new(dataset, &Shape::fixed(&input), None, augment).unwrap();
        assert_eq!(transform.size(), input);
        let mut out = vec![f32::NAN; input.iter().product()];
        transform.apply(dataset.read(0).unwrap(), &mut Rng::of(&[seed]), &mut out).unwrap();
        out
    }

    fn bytes(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| (v * 255.0).round() as u32).collect()
    }

    #[test]
    fn without_augmentation_it_is_the_preprocessing_of_evaluation() {
        let how = Preprocess {
            resize: Some(5),
            crop: Some([3, 4]),
            interpolation: Resampling::Bilinear,
            channels: Channels::Bgr,
            mean: vec![0.1, 0.2, 0.3],
            std: vec![0.5, 0.6, 0.7],
            mean_from: None,
        };
        let (data, input) = (images(3), Shape::fixed(&[3, 3, 4]));
        let transform = Transform::new(&data, &input, Some(&how), &[]).unwrap();
        let mut out = vec![0.0; 36];
        transform.apply(data.read(0).unwrap(), &mut Rng::of(&[]), &mut out).unwrap();
        let Sample::Pixels(pixels) = data.read(0).unwrap() else { panic!("an image") };
        assert_eq!(prepare(pixels, &how, &input).unwrap(), (out, [3, 3, 4]));
    }

    /// Padding and cropping shifts a sample by at most the padding, uniformly, and fills with zeros; the same for pixels and normalized values.
    #[test]
    fn padding_and_cropping_shifts_a_sample() {
        let augment = [Augment::PadCrop { pad: 2, crop: [4, 6] }];
        let (data, mut seen) = (images(3), std::collections::BTreeMap::new());
        for seed in 0..2500 {
            let out = bytes(&draw(&data, [3, 4, 6], &augment, seed));
            assert_eq!(out, bytes(&draw(&Normalized, [3, 4, 6], &augment, seed)));
            let shift = (-2i64..=2).flat_map(|y| (-2i64..=2).map(move |x| (y, x))).find(|&(dy, dx)| {
                (0..72i64).all(|i| {
                    let (c, y, x) = (i / 24, i / 6 % 4 + dy, i % 6 + dx);
                    let inside = (0..4).contains(&y) && (0..6).contains(&x);
                    i64::from(out[i as usize]) == if inside { c * 24 + y * 6 + x + 1 } else { 0 }
                })
            });
            *seen.entry(shift.unwrap()).or_insert(0usize) += 1;
        }
        assert!(seen.len() == 25 && seen.values().all(|n| n.abs_diff(100) < 55), "{seen:?}");
    }

    #[test]
    fn flips_occur_with_their_probability() {
        let flipped: Vec<u32> = (0..72).map(|i| i / 6 * 6 + 5 - i % 6 + 1).collect();
        let mut count = 0;
        for seed in 0..1000 {
            let augment = [Augment::Flip { probability: 0.25 }];
            let out = bytes(&draw(&images(3), [3, 4, 6], &augment, seed));
            assert_eq!(out, bytes(&draw(&Normalized, [3, 4, 6], &augment, seed)));
            assert!(out == flipped || out[0] == 1);
            count += usize::from(out == flipped);
        }
        assert!((180..320).contains(&count), "{count}");
    }

    #[test]
    fn a_cutout_is_a_square_of_zeros_around_a_pixel() {
        for seed in 0..200 {
            let out = draw(&images(3), [3, 4, 6], &[Augment::Cutout { size: 2 }], seed);
            let zeros: Vec<usize> = (0..24).filter(|&i| out[i] == 0.0).collect();
            assert!(matches!(zeros.len(), 1 | 2 | 4), "{zeros:?}");
            assert!((0..72).all(|i| (out[i] == 0.0) == zeros.contains(&(i % 24))));
        }
        let mut all = vec![1.0; 24];
        cut_out(&mut all, [1, 4, 6], [0, 0], usize::MAX);
        assert_eq!(all.iter().filter(|&&v| v == 0.0).count(), 24);
    }

    #[test]
    fn random_sizes_have_the_crop_size_in_the_end() {
        let jitter = Augment::ScaleJitter { min: 4, max: 9, crop: [3, 4] };
        let crop = Augment::RandomResizedCrop { size: [3, 4], scale: [0.3, 1.0], ratio: [0.75, 1.33] };
        for augment in [jitter, crop] {
            let draws: std::collections::BTreeSet<Vec<u32>> =
                (0..100).map(|seed| bytes(&draw(&images(3), [3, 3, 4], &[augment], seed))).collect();
            assert!(draws.len() > 10);
        }
        // a fixed scale that is smaller than the crop, and one where only the column of the crop is random
        let fixed = Augment::ScaleJitter { min: 4, max: 4, crop: [4, 6] };
        let error = Transform::new(&images(3), &Shape::fixed(&[3, 4, 6]), None, &[fixed]).err().unwrap().to_string();
        assert!(error.contains("the shorter side to 4 to 4 pixels, but `crop` needs 4 x 6"), "{error}");
        let fixed = Augment::ScaleJitter { min: 4, max: 4, crop: [4, 4] };
        let out = bytes(&draw(&images(3), [3, 4, 4], &[fixed], 0));
        assert_eq!(out[1] - out[0], 1);
        assert_eq!(out[4] - out[0], 6);
    }

    #[test]
    fn lighting_is_added_to_the_normalized_image() {
        let how = Preprocess { std: vec![0.5, 0.25, 0.1], channels: Channels::Bgr, ..default_preprocess(3) };
        let (data, input) = (images(3), Shape::fixed(&[3, 4, 6]));
        let apply = |augment: &[Augment]| {
            let mut out = vec![0.0; 72];
            let transform = Transform::new(&data, &input, Some(&how), augment).unwrap();
            transform.apply(data.read(0).unwrap(), &mut Rng::of(&[7]), &mut out).unwrap();
            out
        };
        let (plain, lit) = (apply(&[]), apply(&[Augment::Lighting { deviation: 0.1 }]));
        let light = lighting(0.1, &mut Rng::of(&[7]));
        for i in 0..72 {
            let expected = light[2 - i / 24] / how.std[i / 24];
            assert!((lit[i] - plain[i] - expected).abs() < 1e-5, "{i}");
        }
    }

    /// The mean is subtracted first, so it moves with a shifted image, and padding is 0.
    #[test]
    fn a_per_pixel_mean_moves_with_the_image() {
        let mean: Vec<f32> = (0..72).map(|i| (i as f32 + 1.0) / 510.0).collect();
        let how = Preprocess { mean: mean.clone(), std: vec![0.5; 3], ..default_preprocess(3) };
        let (data, input) = (images(3), Shape::fixed(&[3, 4, 6]));
        let apply = |augment: &[Augment], seed| {
            let mut out = vec![f32::NAN; 72];
            let transform = Transform::new(&data, &input, Some(&how), augment).unwrap();
            transform.apply(data.read(0).unwrap(), &mut Rng::of(&[seed]), &mut out).unwrap();
            out
        };
        // half of each byte remains, divided by 0.5
        let plain = apply(&[], 0);
        assert!((0..72).all(|i| (plain[i] - (i as f32 + 1.0) / 255.0).abs() < 1e-6), "{plain:?}");
        let Sample::Pixels(pixels) = data.read(0).unwrap() else { panic!("an image") };
        assert_eq!(prepare(pixels.clone(), &how, &input).unwrap().0, plain);
        let pad = [Augment::PadCrop { pad: 2, crop: [4, 6] }];
        for seed in 0..20 {
            let (moved, values) = (apply(&pad, seed), draw(&Normalized, [3, 4, 6], &pad, seed));
            assert!(moved.iter().zip(values).all(|(a, b)| (a - b).abs() < 1e-6));
        }
        let light = [Augment::Lighting { deviation: 0.1 }];
        let error = |how: &Preprocess, augment| Transform::new(&data, &input, Some(how), augment).err().unwrap().to_string();
        assert!(error(&how, &light).contains("a per-pixel mean, which comes first"));
        let short = Preprocess { mean: vec![0.0; 48], ..how.clone() };
        assert!(error(&short, &[]).contains("a per-pixel mean of 48 values, but the preprocessed image has 72"));
        assert!(prepare(pixels, &short, &input).is_err());
    }

    #[test]
    fn mismatches_are_errors() {
        let error = |data: &dyn Dataset, input: &Shape, augment: &[Augment]| {
            Transform::new(data, input, None, augment).err().map_or(String::new(), |e| e.to_string())
        };
        let input = Shape::fixed(&[3, 4, 6]);
        let pad = |pad, crop| [Augment::PadCrop { pad, crop }];
        assert!(
            error(&images(3), &input, &pad(1, [8, 6]))
                .contains("`crop` cuts 8 x 6 pixels out of samples of 4 x 6, padded to 6 x 8")
        );
        assert!(error(&images(3), &input, &pad(1, [3, 6])).contains("samples are 3 x 3 x 6 after augmentation"));
        assert!(error(&images(3), &input, &pad(usize::MAX, [4, 6])).contains("exceeds 65536"));
        let jitter = [Augment::ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4 }];
        assert!(error(&Normalized, &input, &jitter).contains("color jitter works on images"));
        assert!(
            error(&Normalized, &Shape::fixed(&[1, 4, 6]), &[])
                .contains("has samples of 3 x 4 x 6, but the network reads 1 x 4 x 6")
        );
        assert!(error(&Normalized, &Shape::fixed(&[3, 6, 6]), &[]).contains("the network reads 3 x 6 x 6"));
        assert!(error(&Normalized, &Shape::fixed(&[3, 2, 2]), &pad(0, [2, 2])).is_empty());
        let light = [Augment::Lighting { deviation: 0.1 }];
        assert!(error(&images(1), &Shape::fixed(&[1, 4, 6]), &light).contains("gray"));
        assert!(error(&images(3), &Shape::fixed(&[2, 4, 6]), &[]).contains("2 channels"));
        assert!(error(&images(3), &Shape::fixed(&[72]), &[]).contains("channels x height x width"));
        let free = Shape::Known(vec![Dim::Fixed(3), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
        assert!(error(&images(3), &free, &[]).is_empty());
        assert!(error(&images(3), &free, &pad(1, [2, 2])).is_empty());
    }
}
