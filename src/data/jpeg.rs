//! What a JPEG's headers say, and which decoder is right for it.
//!
//! `zune-jpeg` (behind the crate `image`) is fast and right for what cameras and programs write. Of some rarer files it makes other pixels without a
//! word, or panics: baseline ones with several scans, chroma sampled as finely as luma or finer, colors that are not YCbCr. Those go to
//! `jpeg-decoder`, and what neither is right for is refused.

use std::io::{self, BufRead, Seek};

use jpeg_decoder::{ColorTransform, Decoder};

use super::Pixels;

/// What lies between a JPEG's first byte and its end, as far as it decides how it is read.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Whether it has its end. A decoder makes do with what there is of one that is cut off, and paints the rest gray; PIL and torchvision refuse
    /// it, and so do we.
    pub is_whole: bool,
    frame: Option<Frame>,
    /// How many frame headers there are: one, in a file that we read.
    frames: usize,
    /// Components of the first scan.
    first_scan: usize,
    scans: usize,
    is_jfif: bool,
    /// The transform that Adobe's marker names.
    adobe: Option<u8>,
}

#[derive(Debug)]
struct Frame {
    /// The marker's second byte.
    kind: u8,
    /// Bits of a sample.
    precision: u8,
    height: usize,
    width: usize,
    components: Vec<Component>,
}

#[derive(Debug)]
struct Component {
    id: u8,
    /// Samples across and down of a unit.
    sampling: [usize; 2],
}

/// Who reads a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The crate `image`, with its own messages.
    Usual,
    /// [`decode`], with colors that are these.
    Thorough(Colors),
    /// Nobody; why, as the rest of a sentence.
    Nobody(String),
}

/// What a file's components mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colors {
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// Bytes that [`decode`] takes for a sample: the planes, coefficients of two bytes, the image.
const BYTES_A_SAMPLE: usize = 4;

/// Looks at a JPEG's segments; `None` for what is no JPEG. Segments are passed by their lengths: what lies in them is no marker. Between them, and
/// in the data of a scan, a marker is what a byte of all ones begins, as libjpeg has it: stray bytes are passed over.
pub(super) fn survey(from: &mut (impl BufRead + Seek)) -> io::Result<Option<Survey>> {
    let mut begin = [0; 2];
    if !read(from, &mut begin)? || begin != [0xff, 0xd8] {
        return Ok(None);
    }
    let mut found = Survey::default();
    while let Some(kind) = next_marker(from)? {
        match kind {
            0xd9 => {
                found.is_whole = true;
                break;
            }
            // a byte of data, and markers without a segment
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let mut length = [0; 2];
                if !read(from, &mut length)? {
                    break;
                }
                let length = usize::from(u16::from_be_bytes(length)).saturating_sub(2);
                // what matters lies at the beginning
                let mut segment = [0; 24];
                let taken = &mut segment[..if found.matters(kind) { length.min(24) } else { 0 }];
                if !read(from, taken)? {
                    break;
                }
                found.note(kind, taken);
                from.seek_relative((length - taken.len()) as i64)?;
            }
        }
    }
    Ok(Some(found))
}

impl Survey {
    fn matters(&self, kind: u8) -> bool {
        matches!(kind, 0xc0..=0xcf | 0xda | 0xe0 | 0xee)
    }

    fn note(&mut self, kind: u8, segment: &[u8]) {
        match kind {
            // tables and a reserved marker among the frames
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
            // libjpeg has made up its mind at the first scan
            0xe0 if self.scans == 0 && segment.len() >= 14 && segment.starts_with(b"JFIF\0") => self.is_jfif = true,
            0xee if self.scans == 0 && segment.len() >= 12 && segment.starts_with(b"Adobe") => self.adobe = Some(segment[11]),
            _ => {}
        }
    }

    /// What the components of a file of three or four mean: the rules of libjpeg (`jdapimin.c`, `default_decompress_parms`).
    fn colors(&self, frame: &Frame) -> Colors {
        match (frame.components.len(), self.adobe) {
            (4, None | Some(0)) => Colors::Cmyk,
            (4, Some(_)) => Colors::Ycck,
            _ if self.is_jfif => Colors::YCbCr,
            (_, Some(0)) => Colors::Rgb,
            (_, None) if frame.has_ids_of_rgb() => Colors::Rgb,
            _ => Colors::YCbCr,
        }
    }

    /// Who reads the file.
    pub fn reader(&self) -> Reader {
        let nobody = |why: &str| Reader::Nobody(why.to_owned());
        // the usual decoder says what is wrong with a damaged header
        let Some(frame) = &self.frame else { return Reader::Usual };
        if self.frames > 1 {
            return nobody("it has several frames");
        }
        if frame.precision != 8 {
            return Reader::Nobody(format!("it has {} bits a sample, and JPEGs of 8 are read", frame.precision));
        }
        match frame.kind {
            0xc0..=0xc2 => {}
            0xc3 => return nobody("it is a lossless JPEG, and baseline and progressive ones are read"),
            0xc9..=0xcb => return nobody("it is coded arithmetically, and JPEGs with Huffman codes are read"),
            _ => return nobody("it is a hierarchical JPEG, and baseline and progressive ones are read"),
        }
        let count = frame.components.len();
        match count {
            0 | 1 => return Reader::Usual,
            3 | 4 => {}
            _ => return Reader::Nobody(format!("it has {count} components, and JPEGs of 1, 3 or 4 are read")),
        }
        let is_progressive = frame.kind == 0xc2;
        let in_one_scan = self.scans == 1 && self.first_scan == count;
        let colors = self.colors(frame);
        let known_colors = match colors {
            Colors::YCbCr => self.adobe != Some(0) && !frame.has_ids_of_rgb(),
            Colors::Rgb => false,
            Colors::Cmyk => true,
            Colors::Ycck => self.adobe == Some(2),
        };
        if known_colors && frame.is_sampled_usually() && (is_progressive || in_one_scan) {
            return Reader::Usual;
        }
        if frame.has_odd_ratios() {
            return nobody("its components are sampled in a ratio that is no whole number");
        }
        if (is_progressive || !in_one_scan) && frame.miscounts() {
            return nobody("the sampling of its components is not read");
        }
        Reader::Thorough(colors)
    }

    /// Height and width, as the frame states them.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.frame.as_ref().map(|frame| [frame.height, frame.width])
    }

    /// Bytes that [`decode`] takes, about.
    pub fn memory(&self) -> usize {
        self.frame.as_ref().map_or(0, |f| f.height * f.width * f.components.len() * BYTES_A_SAMPLE)
    }
}

impl Frame {
    /// `None` where the header is cut off, or damaged in a way that the usual decoder names.
    fn read(kind: u8, segment: &[u8]) -> Option<Frame> {
        let (head, rest) = segment.split_first_chunk::<6>()?;
        let [precision, h1, h0, w1, w0, count] = *head;
        let components: Vec<Component> = rest
            .chunks_exact(3)
            .take(usize::from(count))
            .map(|c| Component { id: c[0], sampling: [c[1] >> 4, c[1] & 15].map(usize::from) })
            .collect();
        // of more components than are looked at, the number alone matters
        let are_sampled = components.iter().all(|c| c.sampling.iter().all(|f| (1..=4).contains(f)));
        let [height, width] = [[h1, h0], [w1, w0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let is_whole = components.len() == usize::from(count).min(6);
        (is_whole && are_sampled && height > 0 && width > 0).then_some(Frame { kind, precision, height, width, components })
    }

    fn has_ids_of_rgb(&self) -> bool {
        self.components.iter().map(|c| c.id).eq(*b"RGB")
    }

    /// Luma (and black) at the full resolution, color at it or at an even share of it.
    fn is_sampled_usually(&self) -> bool {
        let [luma, color @ ..] = &self.components[..] else { return false };
        let (color, black) = color.split_at(2.min(color.len()));
        matches!(luma.sampling, [1, 1] | [2, 1] | [1, 2] | [2, 2] | [4, 1])
            && color.iter().all(|c| c.sampling == [1, 1])
            && black.iter().all(|c| c.sampling == luma.sampling)
    }

    /// The largest sampling factors.
    fn finest(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.components.iter().map(|c| c.sampling[axis]).max().unwrap_or(1))
    }

    /// Nor does libjpeg read these.
    fn has_odd_ratios(&self) -> bool {
        let finest = self.finest();
        self.components.iter().any(|c| (0..2).any(|axis| !finest[axis].is_multiple_of(c.sampling[axis])))
    }

    /// Whether `jpeg-decoder` takes a scan of one component for one of more blocks than it has: where the component is neither the finest nor
    /// the coarsest and the last unit is not full.
    fn miscounts(&self) -> bool {
        let finest = self.finest();
        self.components.iter().any(|c| {
            (0..2).any(|axis| {
                let (side, own, most) = ([self.width, self.height][axis], c.sampling[axis], finest[axis]);
                let blocks = (side * own).div_ceil(most).div_ceil(8);
                blocks != (side.div_ceil(8 * most) * own).min(side.div_ceil(8))
            })
        })
    }
}

/// Decodes a file of three or four components, as PIL's `convert("RGB")` of it.
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
        return Err("it has other pixels than its header says".to_owned());
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

/// The byte behind the next ones of all ones; `None` at the end.
fn next_marker(from: &mut impl BufRead) -> io::Result<Option<u8>> {
    let mut found = false;
    loop {
        let bytes = from.fill_buf()?;
        let Some(&first) = bytes.first() else { return Ok(None) };
        if found && first != 0xff {
            from.consume(1);
            return Ok(Some(first));
        }
        let passed = bytes.iter().position(|&byte| byte == 0xff);
        let len = passed.map_or(bytes.len(), |at| at + 1);
        found = passed.is_some();
        from.consume(len);
    }
}

/// Fills a buffer; false where less is left.
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
    fn an_end_lies_behind_all_segments_and_stray_bytes() {
        let is_whole = |parts: &[&[u8]]| surveyed(parts).unwrap().is_whole;
        let (begin, app, end) = ([0xff, 0xd8], [0xff, 0xe0, 0, 4, 1, 2], [0xff, 0xd9]);
        let scan = [0xff, 0xda, 0, 3, 9, 7, 0xff, 0, 0xff, 0xd0, 5];
        // what looks like an end within a segment, before a scan or between two
        let comment = [0xff, 0xfe, 0, 6, 0xff, 0xd9, 0xff, 0xd9];
        assert!(is_whole(&[&begin, &app, &comment, &scan, &comment, &scan, &end]));
        assert!(!is_whole(&[&begin, &app, &comment, &scan, &comment, &scan]));
        assert!(!is_whole(&[&begin, &app, &scan, &comment[..7]]));
        // libjpeg passes over them
        assert!(is_whole(&[&begin, &app, &[1, 2, 3], &scan, &end]));
        assert!(surveyed(&[b"no JPEG"]).is_none());
    }

    /// A file's reader, of a frame's kind, its components' sampling as hexadecimal digits, and the components of each scan.
    fn reader(kind: u8, sampling: &[u8], scans: &[usize], adobe: Option<u8>) -> Reader {
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
        surveyed(&[&bytes]).unwrap().reader()
    }

    #[test]
    fn each_kind_of_file_has_its_reader() {
        use Colors::{Cmyk, Rgb, YCbCr, Ycck};
        use Reader::{Thorough, Usual};
        let (baseline, progressive) = (0xc0, 0xc2);
        for luma in [0x11, 0x12, 0x21, 0x22, 0x41] {
            assert_eq!(reader(baseline, &[luma, 0x11, 0x11], &[3], None), Usual);
            assert_eq!(reader(progressive, &[luma, 0x11, 0x11], &[3, 1, 1, 1], None), Usual);
            assert_eq!(reader(baseline, &[luma, 0x11, 0x11, luma], &[4], Some(2)), Usual);
            assert_eq!(reader(baseline, &[luma, 0x11, 0x11], &[1, 1, 1], None), Thorough(YCbCr));
            assert_eq!(reader(baseline, &[luma, 0x11, 0x11], &[1, 2], None), Thorough(YCbCr));
            assert_eq!(reader(baseline, &[luma, 0x11, 0x11], &[3], Some(0)), Thorough(Rgb));
        }
        assert_eq!(reader(baseline, &[0x22], &[1], None), Usual);
        assert_eq!(reader(baseline, &[0x11, 0x11, 0x21], &[3], None), Thorough(YCbCr));
        assert_eq!(reader(progressive, &[0x11, 0x21, 0x11], &[3], None), Thorough(YCbCr));
        assert_eq!(reader(baseline, &[0x11; 4], &[1, 1, 1, 1], None), Thorough(Cmyk));
        assert_eq!(reader(baseline, &[0x11; 4], &[4], Some(1)), Thorough(Ycck));
        let refused =
            |reader: Reader, why: &str| assert!(matches!(&reader, Reader::Nobody(said) if said.contains(why)), "{reader:?}");
        refused(reader(progressive, &[0x11; 2], &[2], Some(2)), "2 components");
        refused(reader(baseline, &[0x11; 5], &[4], None), "5 components");
        refused(reader(0xc3, &[0x11; 3], &[3], None), "lossless");
        refused(reader(0xc9, &[0x11; 3], &[3], None), "arithmetically");
        refused(reader(0xc5, &[0x11; 3], &[3], None), "hierarchical");
        refused(reader(baseline, &[0x31, 0x21, 0x11], &[3], None), "no whole number");
        refused(reader(baseline, &[0x41, 0x21, 0x11], &[1, 1, 1], None), "the sampling");
        assert_eq!(reader(baseline, &[0x41, 0x21, 0x11], &[3], None), Thorough(YCbCr));
    }
}
