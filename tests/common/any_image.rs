//! What must hold for any bytes as an image: they are refused, or become pixels that fit the sizes in the header, and a network's input.
//! A PNG that the bytes choose has the pixels that it was made of. The fuzz targets `png` and `jpeg` and the tests on random files call
//! this.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use resnetc::internal::data::{Pixels, decode, default_preprocess, prepare};
use resnetc::internal::ir::{Axis, Channels, Dim, Preprocess, Shape};

use crate::bytes::Bytes;

/// Images up to this number of pixels are prepared for networks.
const MAX_PIXELS: usize = 1 << 18;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A PNG: as it is, but with the checksums that its chunks should have, or one that the bytes choose.
pub fn png(bytes: &[u8]) {
    if bytes.starts_with(PNG) {
        any(&summed(bytes));
    } else {
        let (file, expected) = chosen_png(&mut Bytes::new(bytes));
        let found = any(&file).unwrap();
        assert!(found == expected, "{found:?} instead of {expected:?} of {file:?}");
    }
}

/// A JPEG: as it is, or one that the bytes choose.
pub fn jpeg(bytes: &[u8]) {
    if bytes.starts_with(&[0xff, 0xd8]) {
        any(bytes);
    } else {
        let (file, [height, width]) = chosen_jpeg(&mut Bytes::new(bytes));
        if let Some(found) = any(&file) {
            assert_eq!([found.height, found.width], [height, width], "{file:?}");
        }
    }
}

fn any(file: &[u8]) -> Option<Pixels> {
    let image = decode(Cursor::new(file), Path::new("image")).ok()?;
    let pixels = image.width * image.height;
    assert!(pixels > 0 && [1, 3].contains(&image.channels), "{} x {} x {}", image.width, image.height, image.channels);
    assert_eq!(image.data.len(), pixels * image.channels);
    if pixels > MAX_PIXELS {
        return Some(image);
    }
    // decoders in threads may be quicker than each other
    assert!(decode(Cursor::new(file), Path::new("image")).is_ok_and(|again| again == image), "{file:?} is not the same twice");
    let free = Shape::Known(vec![Dim::Fixed(3), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
    let gray = Preprocess { resize: Some(9), crop: Some([7, 8]), ..default_preprocess(1) };
    for (how, input) in [
        (default_preprocess(3), Shape::fixed(&[3, 5, 6])),
        (Preprocess { resize: Some(4), channels: Channels::Bgr, ..default_preprocess(3) }, free),
        (gray, Shape::fixed(&[1, 7, 8])),
    ] {
        if let Ok((values, sizes)) = prepare(image.clone(), &how, &input) {
            assert_eq!(values.len(), sizes.iter().product::<usize>());
            assert!(values.iter().all(|v| (0.0..=1.0).contains(v)), "{how:?}");
        }
    }
    Some(image)
}

/// A PNG whose chunks have the checksums of their contents.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = PNG.len();
    while let Some(&len) = out.get(at..).and_then(|rest| rest.first_chunk()) {
        let end = at + 8 + u32::from_be_bytes(len) as usize;
        let Some(contents) = out.get(at + 4..end) else { break };
        let sum = crc32fast::hash(contents).to_be_bytes();
        let Some(stated) = out.get_mut(end..end + 4) else { break };
        stated.copy_from_slice(&sum);
        at = end + 4;
    }
    out
}

fn chunk(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let both = [&kind[..], contents].concat();
    [&(contents.len() as u32).to_be_bytes()[..], &both, &crc32fast::hash(&both).to_be_bytes()].concat()
}

/// First column and row, and steps of them, of the passes of an interlaced image (PNG specification, 8.2).
const ADAM7: [[usize; 4]; 7] = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/// A sound PNG, and its pixels.
fn chosen_png(from: &mut Bytes<'_>) -> (Vec<u8>, Pixels) {
    let (color, depth) = from.one_of(&[
        (0u8, 8u8),
        (0, 1),
        (0, 2),
        (0, 4),
        (0, 16),
        (2, 8),
        (2, 16),
        (3, 8),
        (3, 1),
        (3, 2),
        (3, 4),
        (4, 8),
        (4, 16),
        (6, 8),
        (6, 16),
    ]);
    let (is_interlaced, is_transparent, pieces) = (from.flip(), from.below(3) == 2, 1 + from.below(3));
    let [width, height] = [1 + from.below(19), 1 + from.below(19)];
    let samples = match color {
        0 | 3 => 1,
        4 => 2,
        2 => 3,
        _ => 4,
    };
    let most = (1u32 << depth) - 1;
    let palette: Vec<[u8; 3]> =
        if color == 3 { (0..=most).map(|i| [i as u8, (i * 3) as u8, from.byte()]).collect() } else { Vec::new() };
    let values: Vec<u16> = (0..width * height * samples)
        .map(|i| ((u32::from(from.byte()) << 8 | u32::from(from.byte())).wrapping_add(i as u32 * 40_503) & most) as u16)
        .collect();
    let header = [&(width as u32).to_be_bytes()[..], &(height as u32).to_be_bytes(), &[depth, color, 0, 0, is_interlaced.into()]];
    let mut file = [PNG, &chunk(b"IHDR", &header.concat())].concat();
    if color == 3 {
        file.extend(chunk(b"PLTE", palette.as_flattened()));
    }
    if is_transparent {
        let fill = |n: usize| (0..n).flat_map(|i| (i as u16 % 2).to_be_bytes()).collect::<Vec<u8>>();
        match color {
            0 => file.extend(chunk(b"tRNS", &fill(1))),
            2 => file.extend(chunk(b"tRNS", &fill(3))),
            3 => file.extend(chunk(b"tRNS", &vec![7; palette.len().div_ceil(2)])),
            _ => {}
        }
    }
    let whole = [[0, 0, 1, 1]];
    let mut raw = Vec::new();
    for &[left, top, across, down] in if is_interlaced { &ADAM7[..] } else { &whole } {
        let columns: Vec<usize> = (left..width).step_by(across).collect();
        let mut above = vec![0u8; (columns.len() * samples * usize::from(depth)).div_ceil(8)];
        for y in (top..height).step_by(down).filter(|_| !columns.is_empty()) {
            let row: Vec<u16> = columns.iter().flat_map(|&x| &values[(y * width + x) * samples..][..samples]).copied().collect();
            let row = packed(&row, depth);
            filtered(&row, &above, (samples * usize::from(depth)).div_ceil(8), from.below(5), &mut raw);
            above = row;
        }
    }
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::new(from.below(2) as u32));
    deflated.write_all(&raw).unwrap();
    let data = deflated.finish().unwrap();
    for piece in data.chunks(data.len().div_ceil(pieces)) {
        file.extend(chunk(b"IDAT", piece));
    }
    file.extend(chunk(b"IEND", &[]));
    // transparency is dropped, and 16 bits are cut to 8
    let byte = |v: u16| if depth == 16 { (v >> 8) as u8 } else { (u32::from(v) * 255 / most) as u8 };
    let data = match color {
        3 => values.iter().flat_map(|&v| palette[usize::from(v)]).collect(),
        _ => {
            let used = if samples < 3 { 1 } else { 3 };
            values.chunks(samples).flat_map(|pixel| &pixel[..used]).map(|&v| byte(v)).collect()
        }
    };
    let channels = if matches!(color, 0 | 4) { 1 } else { 3 };
    (file, Pixels { width, height, channels, data })
}

/// Samples of a row in as few bytes as they take.
fn packed(row: &[u16], depth: u8) -> Vec<u8> {
    match depth {
        16 => row.iter().flat_map(|v| v.to_be_bytes()).collect(),
        _ => {
            let in_byte = usize::from(8 / depth);
            let byte = |samples: &[u16]| {
                (0..in_byte).fold(0u8, |byte, i| {
                    let sample = samples.get(i).copied().unwrap_or_default() as u8;
                    byte | sample << (8 - usize::from(depth) * (i + 1))
                })
            };
            row.chunks(in_byte).map(byte).collect()
        }
    }
}

/// Appends a row with a filter (PNG specification, 9.2); `before` is the distance in bytes to the sample on the left.
fn filtered(row: &[u8], above: &[u8], before: usize, filter: usize, out: &mut Vec<u8>) {
    out.push(filter as u8);
    for (i, &byte) in row.iter().enumerate() {
        let left = |row: &[u8]| i.checked_sub(before).map_or(0, |at| row[at]);
        let (a, b, c) = (left(row), above[i], left(above));
        let predicted = match filter {
            0 => 0,
            1 => a,
            2 => b,
            3 => ((u16::from(a) + u16::from(b)) / 2) as u8,
            _ => {
                let [a, b, c] = [a, b, c].map(i16::from);
                let estimate = a + b - c;
                let [near_a, near_b, near_c] = [a, b, c].map(|v| (estimate - v).abs());
                (if near_a <= near_b && near_a <= near_c {
                    a
                } else if near_b <= near_c {
                    b
                } else {
                    c
                }) as u8
            }
        };
        out.push(byte.wrapping_sub(predicted));
    }
}

/// A JPEG of sound segments, whose scans have any data; and the height and width in its header.
fn chosen_jpeg(from: &mut Bytes<'_>) -> (Vec<u8>, [usize; 2]) {
    let segment = |kind: u8, contents: &[u8]| [&[0xff, kind][..], &(contents.len() as u16 + 2).to_be_bytes(), contents].concat();
    let mut file = vec![0xff, 0xd8];
    match from.below(5) {
        1 => file.extend(segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")),
        2 => file.extend(segment(0xee, &[&b"Adobe\0\x64\0\0\0\0"[..], &[from.one_of(&[0, 1, 2])]].concat())),
        _ => {}
    }
    let is_progressive = from.below(3) == 2;
    let count = from.one_of(&[3u8, 1, 3, 4, 3, 2]);
    let [height, width] = [1 + from.below(40), 1 + from.below(40)];
    let sampling: Vec<u8> = (0..count).map(|_| from.one_of(&[0x11, 0x22, 0x21, 0x12, 0x11, 0x41, 0x14, 0x31, 0x44])).collect();
    file.extend(segment(0xdb, &[&[0][..], &[from.byte().max(1); 64]].concat()));
    let mut frame = vec![8, 0, height as u8, 0, width as u8, count];
    frame.extend(sampling.iter().zip(1u8..).flat_map(|(&factors, id)| [id, factors, 0]));
    file.extend(segment(if is_progressive { 0xc2 } else { 0xc0 }, &frame));
    // codes of 4 bits for differences of up to 11 bits, and of 8 bits for runs and sizes
    let table = |class: u8, bits: usize, symbols: &[u8]| {
        let mut counts = [0u8; 16];
        counts[bits - 1] = symbols.len() as u8;
        [&[class][..], &counts, symbols].concat()
    };
    let runs: Vec<u8> = (0..16)
        .flat_map(|run| (0..=10).map(move |size| run << 4 | size))
        .filter(|&s| s & 15 > 0 || s == 0 || s == 0xf0)
        .collect();
    file.extend(segment(0xc4, &[table(0, 4, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), table(0x10, 8, &runs)].concat()));
    if from.below(3) == 2 {
        file.extend(segment(0xdd, &[0, from.below(5) as u8]));
    }
    let all: Vec<u8> = (1..=count).collect();
    let (first, rest) = all.split_at(1);
    let each: Vec<&[u8]> = all.chunks(1).collect();
    let mut scans: Vec<&[u8]> = match from.below(4) {
        0 => each.clone(),
        1 if count > 1 => vec![first, rest],
        _ => vec![&all],
    };
    if is_progressive {
        scans.extend(each);
    }
    for (number, components) in scans.into_iter().enumerate() {
        let mut header = vec![components.len() as u8];
        header.extend(components.iter().flat_map(|&id| [id, 0]));
        // all coefficients, or the first, some of the others, and later bits of these
        header.extend(match (is_progressive, number, components.len()) {
            (false, ..) => [0, 63, 0],
            (true, 0, _) | (true, _, 2..) => [0, 0, from.one_of(&[0, 1, 0x10])],
            (true, ..) => from.one_of(&[[1, 63, 0], [1, 5, 2], [6, 63, 0], [1, 63, 0x21], [1, 63, 0x10]]),
        });
        file.extend(segment(0xda, &header));
        for _ in 0..from.below(200) {
            match from.byte() {
                // a marker of a restart, or the byte itself
                0xff => file.extend([0xff, from.one_of(&[0, 0, 0xd0, 0xd1, 0xd2])]),
                byte => file.push(byte),
            }
        }
    }
    file.extend([0xff, 0xd9]);
    (file, [height, width])
}
