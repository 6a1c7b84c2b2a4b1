//! A camera: reads the QR codes that programs draw, by a reader that shares nothing with what drew them.

use rqrr::PreparedImage;

/// Pixels along each side of a module: readers want more than one.
const SCALE: usize = 4;

/// The text of the one code among the lines of `shown`, which are half blocks: what is drawn is light.
#[track_caller]
pub fn read(shown: &str) -> String {
    let modules = modules(shown);
    let (width, height) = (modules.iter().map(Vec::len).max().unwrap_or(0), modules.len());
    let is_light = |x: usize, y: usize| modules[y].get(x).copied().unwrap_or(false);
    let mut image = PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
        if is_light(x / SCALE, y / SCALE) { 255 } else { 0 }
    });
    let codes = image.detect_grids();
    assert_eq!(codes.len(), 1, "there is not one code in\n{shown}");
    codes[0].decode().unwrap_or_else(|wrong| panic!("{wrong}:\n{shown}")).1
}

/// Which modules are light: each character of a drawing is two, one above the other. Other lines are none of it.
pub fn modules(shown: &str) -> Vec<Vec<bool>> {
    let is_drawn = |line: &&str| !line.is_empty() && line.chars().all(|c| "█▀▄ ".contains(c));
    let mut light = Vec::new();
    for line in shown.lines().filter(is_drawn) {
        light.push(line.chars().map(|c| "█▀".contains(c)).collect());
        light.push(line.chars().map(|c| "█▄".contains(c)).collect());
    }
    light
}
