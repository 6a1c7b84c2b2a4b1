//! Standard output, a piece at a time.

use crate::error::Result;
use crate::json::{self, Value};

/// What is for standard output, and not written yet.
#[derive(Default)]
pub struct Output(String);

impl Output {
    /// Adds a line.
    pub fn line(&mut self, text: &str) {
        self.0 += text;
        self.0.push('\n');
    }

    /// Adds an object, as a line.
    ///
    /// # Errors
    /// None for the types of this project.
    pub fn object(&mut self, object: &Value) -> Result<()> {
        let text = json::line(object)?;
        self.line(&text);
        Ok(())
    }

    /// Writes what there is.
    ///
    /// # Errors
    /// Those of [`super::print`].
    pub fn flush(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.0);
        if out.is_empty() { Ok(()) } else { super::print(&out) }
    }
}
