//! QR codes for a terminal.

use crate::error::{Error, Result};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::io::IsTerminal;

/// White on black from the 256 colours, which themes leave alone.
const WHITE_ON_BLACK: &str = "\x1b[38;5;231;48;5;16m";
const RESET: &str = "\x1b[0m";

/// Whether standard output understands colours.
#[must_use]
pub fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

/// Draws `text`, light on a dark ground with the quiet zone that readers need (ISO/IEC 18004): a key takes 19 lines of 37
/// characters.
///
/// # Errors
/// More text than a QR code holds.
pub fn of(text: &str, coloured: bool) -> Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|cause| Error::state(format!("cannot make a QR code: {cause}")))?;
    // A terminal's ground is mostly dark: what is light in the code is drawn, what is dark is left out.
    let image = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let (before, after) = if coloured { (WHITE_ON_BLACK, RESET) } else { ("", "") };
    Ok(image.lines().map(|line| format!("{before}{line}{after}\n")).collect())
}
