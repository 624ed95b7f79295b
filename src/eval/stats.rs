//! The mean and standard deviation of a dataset's images, for `preprocess`.

use ndarray::Array3;
use thiserror::Error;

use crate::data::{DataError, Dataset, Pixels, Sample};
use crate::ir::Channels;

/// Options of [`dataset_stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsOptions {
    /// Measure colors as luminance.
    pub gray: bool,
    /// Also compute the mean of each pixel, of images of one size.
    pub per_pixel: bool,
}

/// Statistics of values from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DatasetStats {
    /// Gray, or red, green and blue.
    pub channels: Channels,
    /// The mean of each channel.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel.
    pub std: Vec<f64>,
    /// The mean of each pixel: channels x height x width.
    pub pixel_mean: Option<Array3<f32>>,
    /// Images that were measured.
    pub images: usize,
}

/// Why a dataset cannot be measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatsError {
    /// An image that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Samples that are no images.
    #[error("the dataset holds normalized values, and no images")]
    Normalized,
    /// Images of several sizes, where the mean of each pixel is to be computed.
    #[error(
        "`{name}` is {} x {} pixels, and those before it {} x {}: a mean of each pixel is of images of one size",
        size[0], size[1], first[0], first[1]
    )]
    Sizes {
        /// An image.
        name: String,
        /// Its height and width.
        size: [usize; 2],
        /// The height and width of the first image.
        first: [usize; 2],
    },
    /// No image can be read.
    #[error("none of the dataset's images can be read")]
    NoImages,
}

/// Measures a dataset. `each` is called after each image, with the error of one that cannot be read; such images are left out if it
/// returns `Ok`.
pub fn dataset_stats(
    data: &dyn Dataset,
    options: StatsOptions,
    mut each: impl FnMut(Result<(), DataError>) -> Result<(), DataError>,
) -> Result<DatasetStats, StatsError> {
    let gray = options.gray || data.common_size().is_some_and(|size| size[0] == 1);
    let (to, channels) = if gray { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    let mut counts = vec![[0u64; 256]; channels];
    let mut sums: Option<PixelSums> = None;
    let mut images = 0;
    for index in 0..data.len() {
        let sample = match data.read(index) {
            Ok(sample) => sample,
            Err(error) => {
                each(Err(error))?;
                continue;
            }
        };
        let Sample::Pixels(pixels) = sample else { return Err(StatsError::Normalized) };
        let pixels = pixels.convert(to);
        for pixel in pixels.data.chunks_exact(channels) {
            counts.iter_mut().zip(pixel).for_each(|(counts, &v)| counts[usize::from(v)] += 1);
        }
        if options.per_pixel {
            let sums = sums.get_or_insert_with(|| PixelSums::new(&pixels));
            sums.add(&pixels).map_err(|[size, first]| StatsError::Sizes { name: data.name(index), size, first })?;
        }
        images += 1;
        each(Ok(()))?;
    }
    if images == 0 {
        return Err(StatsError::NoImages);
    }
    let (mean, std) = counts.iter().map(moments).unzip();
    Ok(DatasetStats { channels: to, mean, std, pixel_mean: sums.map(|sums| sums.mean(images)), images })
}

/// The sums over images of one size.
struct PixelSums {
    size: [usize; 2],
    channels: usize,
    sums: Vec<u64>,
}

impl PixelSums {
    fn new(first: &Pixels) -> PixelSums {
        PixelSums { size: [first.height, first.width], channels: first.channels, sums: vec![0; first.data.len()] }
    }

    /// Adds an image, or returns its size and the first one's.
    fn add(&mut self, pixels: &Pixels) -> Result<(), [[usize; 2]; 2]> {
        let size = [pixels.height, pixels.width];
        if size != self.size {
            return Err([size, self.size]);
        }
        self.sums.iter_mut().zip(&pixels.data).for_each(|(sum, &v)| *sum += u64::from(v));
        Ok(())
    }

    /// From interleaved channels to one channel after the other.
    fn mean(&self, images: usize) -> Array3<f32> {
        let ([height, width], scale) = (self.size, 1.0 / (255.0 * images as f64));
        Array3::from_shape_fn((self.channels, height, width), |(channel, y, x)| {
            (self.sums[(y * width + x) * self.channels + channel] as f64 * scale) as f32
        })
    }
}

/// The mean and the standard deviation of bytes, divided by 255.
fn moments(counts: &[u64; 256]) -> (f64, f64) {
    let n = counts.iter().sum::<u64>().max(1) as f64;
    let sum = |f: &dyn Fn(f64) -> f64| counts.iter().enumerate().map(|(v, &k)| f(v as f64 / 255.0) * k as f64).sum::<f64>() / n;
    let mean = sum(&|v| v);
    (mean, sum(&|v| (v - mean) * (v - mean)).sqrt())
}
