//! Inspects a JPEG's headers and chooses a decoder that reads it correctly.
//!
//! `zune-jpeg` (used by the crate `image`) is fast, and correct for the files that cameras and common programs write. On some rarer files it
//! silently decodes wrong pixels, or panics: baseline files with several scans, unusual chroma sampling factors, colors that are
//! not YCbCr. Those go to `jpeg-decoder`. Files that neither decodes correctly are an error.

use std::io::{self, BufRead, Seek};

use jpeg_decoder::{ColorTransform, Decoder};

use super::Pixels;

/// The properties of a JPEG that determine how to decode it.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Whether it has an end marker. Decoders fill the missing part of a truncated file with gray; PIL and torchvision report an error, and so do
    /// we.
    pub is_complete: bool,
    frame: Option<Frame>,
    /// The number of frame headers. Only files with one are supported.
    frames: usize,
    /// The number of components of the first scan.
    first_scan: usize,
    scans: usize,
    is_jfif: bool,
    /// The color transform in the Adobe marker.
    adobe: Option<u8>,
}

#[derive(Debug)]
struct Frame {
    /// The marker's second byte.
    kind: u8,
    /// Bits per sample.
    precision: u8,
    height: usize,
    width: usize,
    components: Vec<Component>,
}

#[derive(Debug)]
struct Component {
    id: u8,
    /// Horizontal and vertical sampling factors.
    sampling: [usize; 2],
}

/// The decoder for a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// The crate `image`, with its own messages.
    Image,
    /// [`decode`], with these colors.
    JpegDecoder(Colors),
    /// None, with the reason.
    Unsupported(String),
}

/// The color space of a file's components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colors {
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// Bytes per sample that [`decode`] needs: planes, 2-byte coefficients, and the image.
const BYTES_PER_SAMPLE: usize = 4;

/// Reads a JPEG's segment headers; `None` if it is not a JPEG. Segments are skipped by their lengths, so their contents are never taken for
/// markers. Between segments, and in the data of a scan, a byte `0xff` begins a marker and stray bytes are skipped, as in libjpeg.
pub(super) fn survey(from: &mut (impl BufRead + Seek)) -> io::Result<Option<Survey>> {
    let mut begin = [0; 2];
    if !read(from, &mut begin)? || begin != [0xff, 0xd8] {
        return Ok(None);
    }
    let mut found = Survey::default();
    while let Some(kind) = next_marker(from)? {
        match kind {
            0xd9 => {
                found.is_complete = true;
                break;
            }
            // an escaped data byte, or a marker without a segment
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let mut length = [0; 2];
                if !read(from, &mut length)? {
                    break;
                }
                let length = usize::from(u16::from_be_bytes(length)).saturating_sub(2);
                // the relevant fields are at the beginning
                let mut segment = [0; 24];
                let head = &mut segment[..if found.is_relevant(kind) { length.min(24) } else { 0 }];
                if !read(from, head)? {
                    break;
                }
                found.record(kind, head);
                from.seek_relative((length - head.len()) as i64)?;
            }
        }
    }
    Ok(Some(found))
}

impl Survey {
    fn is_relevant(&self, kind: u8) -> bool {
        matches!(kind, 0xc0..=0xcf | 0xda | 0xe0 | 0xee)
    }

    fn record(&mut self, kind: u8, segment: &[u8]) {
        match kind {
            // tables and a reserved marker in the range of the frame markers
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                self.frames += 1;
                let frame = Frame::read(kind, segment);
                self.frame = self.frame.take().or(frame);
            }
            0xda => {
                if self.scans == 0 {
                    self.first_scan = segment.first().copied().map_or(0, usize::from);
                }
                self.scans += 1;
            }
            // libjpeg ignores these after the first scan
            0xe0 if self.scans == 0 && segment.len() >= 14 && segment.starts_with(b"JFIF\0") => self.is_jfif = true,
            0xee if self.scans == 0 && segment.len() >= 12 && segment.starts_with(b"Adobe") => self.adobe = Some(segment[11]),
            _ => {}
        }
    }

    /// The color space of a file with three or four components, by the rules of libjpeg (`jdapimin.c`, `default_decompress_parms`).
    fn colors(&self, frame: &Frame) -> Colors {
        match (frame.components.len(), self.adobe) {
            (4, None | Some(0)) => Colors::Cmyk,
            (4, Some(_)) => Colors::Ycck,
            _ if self.is_jfif => Colors::YCbCr,
            (_, Some(0)) => Colors::Rgb,
            (_, None) if frame.has_rgb_ids() => Colors::Rgb,
            _ => Colors::YCbCr,
        }
    }

    /// Chooses the decoder.
    pub fn backend(&self) -> Backend {
        let unsupported = |why: &str| Backend::Unsupported(why.to_owned());
        // the crate `image` reports what is wrong with a damaged header
        let Some(frame) = &self.frame else { return Backend::Image };
        if self.frames > 1 {
            return unsupported("it has several frames");
        }
        if frame.precision != 8 {
            return Backend::Unsupported(format!("it has {} bits per sample, but only 8 are supported", frame.precision));
        }
        match frame.kind {
            0xc0..=0xc2 => {}
            0xc3 => return unsupported("it is a lossless JPEG, but only baseline and progressive JPEGs are supported"),
            0xc9..=0xcb => return unsupported("it uses arithmetic coding, but only Huffman coding is supported"),
            _ => return unsupported("it is a hierarchical JPEG, but only baseline and progressive JPEGs are supported"),
        }
        let count = frame.components.len();
        match count {
            0 | 1 => return Backend::Image,
            3 | 4 => {}
            _ => return Backend::Unsupported(format!("it has {count} components, but only 1, 3 or 4 are supported")),
        }
        let is_progressive = frame.kind == 0xc2;
        let in_one_scan = self.scans == 1 && self.first_scan == count;
        let colors = self.colors(frame);
        let has_common_colors = match colors {
            Colors::YCbCr => self.adobe != Some(0) && !frame.has_rgb_ids(),
            Colors::Rgb => false,
            Colors::Cmyk => true,
            Colors::Ycck => self.adobe == Some(2),
        };
        if has_common_colors && frame.has_common_sampling() && (is_progressive || in_one_scan) {
            return Backend::Image;
        }
        if frame.has_fractional_ratios() {
            return unsupported("the ratio of its sampling factors is not a whole number");
        }
        if (is_progressive || !in_one_scan) && frame.miscounts() {
            return unsupported("its sampling factors are not supported");
        }
        Backend::JpegDecoder(colors)
    }

    /// Height and width in the frame header.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.frame.as_ref().map(|frame| [frame.height, frame.width])
    }

    /// The approximate memory that [`decode`] needs, in bytes.
    pub fn memory(&self) -> usize {
        self.frame.as_ref().map_or(0, |f| f.height * f.width * f.components.len() * BYTES_PER_SAMPLE)
    }
}

impl Frame {
    /// `None` if the header is truncated, or damaged in a way that the crate `image` reports.
    fn read(kind: u8, segment: &[u8]) -> Option<Frame> {
        let (head, rest) = segment.split_first_chunk::<6>()?;
        let [precision, h1, h0, w1, w0, count] = *head;
        let components: Vec<Component> = rest
            .chunks_exact(3)
            .take(usize::from(count))
            .map(|c| Component { id: c[0], sampling: [c[1] >> 4, c[1] & 15].map(usize::from) })
            .collect();
        // at most six components are read; if there are more, only the number is needed
        let has_valid_factors = components.iter().all(|c| c.sampling.iter().all(|f| (1..=4).contains(f)));
        let [height, width] = [[h1, h0], [w1, w0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let is_complete = components.len() == usize::from(count).min(6);
        (is_complete && has_valid_factors && height > 0 && width > 0).then_some(Frame {
            kind,
            precision,
            height,
            width,
            components,
        })
    }

    fn has_rgb_ids(&self) -> bool {
        self.components.iter().map(|c| c.id).eq(*b"RGB")
    }

    /// Luma (and black) at full resolution, chroma at full or reduced resolution, in the common combinations.
    fn has_common_sampling(&self) -> bool {
        let [luma, color @ ..] = &self.components[..] else { return false };
        let (color, black) = color.split_at(2.min(color.len()));
        matches!(luma.sampling, [1, 1] | [2, 1] | [1, 2] | [2, 2] | [4, 1])
            && color.iter().all(|c| c.sampling == [1, 1])
            && black.iter().all(|c| c.sampling == luma.sampling)
    }

    /// The largest sampling factors.
    fn max_sampling(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.components.iter().map(|c| c.sampling[axis]).max().unwrap_or(1))
    }

    /// libjpeg does not support these either.
    fn has_fractional_ratios(&self) -> bool {
        let max = self.max_sampling();
        self.components.iter().any(|c| (0..2).any(|axis| !max[axis].is_multiple_of(c.sampling[axis])))
    }

    /// Whether `jpeg-decoder` expects too many blocks in a scan of a single component. This happens if the sampling factor is neither the largest
    /// nor the smallest and the last MCU is incomplete.
    fn miscounts(&self) -> bool {
        let max = self.max_sampling();
        self.components.iter().any(|c| {
            (0..2).any(|axis| {
                let (side, factor, max) = ([self.width, self.height][axis], c.sampling[axis], max[axis]);
                let blocks = (side * factor).div_ceil(max).div_ceil(8);
                blocks != (side.div_ceil(8 * max) * factor).min(side.div_ceil(8))
            })
        })
    }
}

/// Decodes a file with three or four components to RGB, like PIL's `convert("RGB")`.
pub(super) fn decode(bytes: &[u8], colors: Colors, limit: usize) -> Result<Pixels, String> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(limit);
    decoder.set_color_transform(match colors {
        Colors::Rgb => ColorTransform::RGB,
        Colors::YCbCr => ColorTransform::YCbCr,
        Colors::Cmyk => ColorTransform::CMYK,
        Colors::Ycck => ColorTransform::YCCK,
    });
    let data = decoder.decode().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no frame")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let data = match colors {
        Colors::Rgb | Colors::YCbCr => data,
        Colors::Cmyk | Colors::Ycck => data.as_chunks().0.iter().flat_map(from_cmyk).collect(),
    };
    if data.len() != width * height * 3 {
        return Err("the number of pixels differs from its header".to_owned());
    }
    Ok(Pixels { width, height, channels: 3, data })
}

/// PIL's `cmyk2rgb`.
fn from_cmyk(&[cyan, magenta, yellow, black]: &[u8; 4]) -> [u8; 3] {
    let white = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        // a product of bytes divided by 255, rounded
        let product = u32::from(ink) * white + 128;
        white.saturating_sub(((product >> 8) + product) >> 8) as u8
    })
}

/// The byte after the next run of `0xff` bytes; `None` at the end.
fn next_marker(from: &mut impl BufRead) -> io::Result<Option<u8>> {
    let mut found = false;
    loop {
        let bytes = from.fill_buf()?;
        let Some(&first) = bytes.first() else { return Ok(None) };
        if found && first != 0xff {
            from.consume(1);
            return Ok(Some(first));
        }
        let position = bytes.iter().position(|&byte| byte == 0xff);
        let len = position.map_or(bytes.len(), |at| at + 1);
        found = position.is_some();
        from.consume(len);
    }
}

/// Fills a buffer; returns false at the end of the file.
fn read(from: &mut impl BufRead, to: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(to) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn surveyed(parts: &[&[u8]]) -> Option<Survey> {
        survey(&mut Cursor::new(parts.concat())).unwrap()
    }

    #[test]
    fn the_end_marker_is_found_after_all_segments_and_stray_bytes() {
        let is_complete = |parts: &[&[u8]]| surveyed(parts).unwrap().is_complete;
        let (begin, app, end) = ([0xff, 0xd8], [0xff, 0xe0, 0, 4, 1, 2], [0xff, 0xd9]);
        let scan = [0xff, 0xda, 0, 3, 9, 7, 0xff, 0, 0xff, 0xd0, 5];
        // a segment that contains the bytes of an end marker, before a scan or between two
        let comment = [0xff, 0xfe, 0, 6, 0xff, 0xd9, 0xff, 0xd9];
        assert!(is_complete(&[&begin, &app, &comment, &scan, &comment, &scan, &end]));
        assert!(!is_complete(&[&begin, &app, &comment, &scan, &comment, &scan]));
        assert!(!is_complete(&[&begin, &app, &scan, &comment[..7]]));
        // libjpeg skips stray bytes
        assert!(is_complete(&[&begin, &app, &[1, 2, 3], &scan, &end]));
        assert!(surveyed(&[b"not a JPEG"]).is_none());
    }

    /// The backend for a file with this frame marker, sampling factors (two hexadecimal digits per component), and components per scan.
    fn backend(kind: u8, sampling: &[u8], scans: &[usize], adobe: Option<u8>) -> Backend {
        let count = sampling.len() as u8;
        let mut bytes = vec![0xff, 0xd8];
        if let Some(transform) = adobe {
            bytes.extend([0xff, 0xee, 0, 14]);
            bytes.extend(b"Adobe\0\x64\0\0\0\0");
            bytes.push(transform);
        }
        bytes.extend([0xff, kind, 0, 8 + 3 * count, 8, 0, 33, 0, 33, count]);
        sampling.iter().zip(1..).for_each(|(&s, id)| bytes.extend([id, s, 0]));
        scans.iter().for_each(|&n| bytes.extend([0xff, 0xda, 0, 3, n as u8]));
        bytes.extend([0xff, 0xd9]);
        surveyed(&[&bytes]).unwrap().backend()
    }

    #[test]
    fn each_kind_of_file_has_a_backend() {
        use Backend::{Image, JpegDecoder};
        use Colors::{Cmyk, Rgb, YCbCr, Ycck};
        let (baseline, progressive) = (0xc0, 0xc2);
        for luma in [0x11, 0x12, 0x21, 0x22, 0x41] {
            assert_eq!(backend(baseline, &[luma, 0x11, 0x11], &[3], None), Image);
            assert_eq!(backend(progressive, &[luma, 0x11, 0x11], &[3, 1, 1, 1], None), Image);
            assert_eq!(backend(baseline, &[luma, 0x11, 0x11, luma], &[4], Some(2)), Image);
            assert_eq!(backend(baseline, &[luma, 0x11, 0x11], &[1, 1, 1], None), JpegDecoder(YCbCr));
            assert_eq!(backend(baseline, &[luma, 0x11, 0x11], &[1, 2], None), JpegDecoder(YCbCr));
            assert_eq!(backend(baseline, &[luma, 0x11, 0x11], &[3], Some(0)), JpegDecoder(Rgb));
        }
        assert_eq!(backend(baseline, &[0x22], &[1], None), Image);
        assert_eq!(backend(baseline, &[0x11, 0x11, 0x21], &[3], None), JpegDecoder(YCbCr));
        assert_eq!(backend(progressive, &[0x11, 0x21, 0x11], &[3], None), JpegDecoder(YCbCr));
        assert_eq!(backend(baseline, &[0x11; 4], &[1, 1, 1, 1], None), JpegDecoder(Cmyk));
        assert_eq!(backend(baseline, &[0x11; 4], &[4], Some(1)), JpegDecoder(Ycck));
        let is_unsupported = |backend: Backend, why: &str| {
            assert!(matches!(&backend, Backend::Unsupported(reason) if reason.contains(why)), "{backend:?}")
        };
        is_unsupported(backend(progressive, &[0x11; 2], &[2], Some(2)), "2 components");
        is_unsupported(backend(baseline, &[0x11; 5], &[4], None), "5 components");
        is_unsupported(backend(0xc3, &[0x11; 3], &[3], None), "lossless");
        is_unsupported(backend(0xc9, &[0x11; 3], &[3], None), "arithmetic");
        is_unsupported(backend(0xc5, &[0x11; 3], &[3], None), "hierarchical");
        is_unsupported(backend(baseline, &[0x31, 0x21, 0x11], &[3], None), "not a whole number");
        is_unsupported(backend(baseline, &[0x41, 0x21, 0x11], &[1, 1, 1], None), "sampling factors are not supported");
        assert_eq!(backend(baseline, &[0x41, 0x21, 0x11], &[3], None), JpegDecoder(YCbCr));
    }
}
