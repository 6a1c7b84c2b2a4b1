//! What a client has open.

use super::reply::Failure;
use crate::root::Listing;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// Most files and directories open at once: below the 1,024 descriptors that a process is commonly given, with some left
/// over for looking up paths.
pub const MAX_HANDLES: usize = 960;

/// Something open.
#[derive(Debug)]
pub(super) enum Open {
    File(File),
    Directory(Listing),
}

/// The bytes by which the client names it: a place, and how often the place was given away before, so that a handle that
/// was given back is not taken for a later one.
pub(super) type Handle = [u8; 8];

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Handles {
    places: Vec<Place>,
    /// Places that nothing is open in.
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Place {
    /// How often it was given back.
    times: u32,
    open: Option<Open>,
}

impl Handles {
    /// Fails when there are too many to take one more; to be asked before anything is opened.
    pub(super) fn check_room(&self) -> Result<(), Failure> {
        match self.free.is_empty() && self.places.len() >= MAX_HANDLES {
            true => Err(Failure::because(format!("too many open files: {MAX_HANDLES}"))),
            false => Ok(()),
        }
    }

    pub(super) fn insert(&mut self, open: Open) -> Result<Handle, Failure> {
        self.check_room()?;
        let at = self.free.pop().unwrap_or(self.places.len());
        if at == self.places.len() {
            self.places.push(Place::default());
        }
        let place = self.places.get_mut(at).ok_or_else(Failure::no_handle)?;
        place.open = Some(open);
        let [a, b, c, d] = u32::try_from(at).unwrap_or(u32::MAX).to_be_bytes();
        let [e, f, g, h] = place.times.to_be_bytes();
        Ok([a, b, c, d, e, f, g, h])
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> Result<(), Failure> {
        let at = self.find(handle).ok_or_else(Failure::no_handle)?;
        if let Some(place) = self.places.get_mut(at) {
            *place = Place { times: place.times.wrapping_add(1), open: None };
            self.free.push(at);
        }
        Ok(())
    }

    pub(super) fn any(&self, handle: &[u8]) -> Result<BorrowedFd<'_>, Failure> {
        match self.find(handle).and_then(|at| self.places.get(at)) {
            Some(Place { open: Some(Open::File(file)), .. }) => Ok(file.as_fd()),
            Some(Place { open: Some(Open::Directory(listing)), .. }) => Ok(listing.as_fd()),
            _ => Err(Failure::no_handle()),
        }
    }

    pub(super) fn file(&self, handle: &[u8]) -> Result<&File, Failure> {
        match self.find(handle).and_then(|at| self.places.get(at)) {
            Some(Place { open: Some(Open::File(file)), .. }) => Ok(file),
            Some(_) => Err(Failure::because("the handle is of a directory")),
            None => Err(Failure::no_handle()),
        }
    }

    pub(super) fn listing(&mut self, handle: &[u8]) -> Result<&mut Listing, Failure> {
        match self.find(handle).and_then(|at| self.places.get_mut(at)) {
            Some(Place { open: Some(Open::Directory(listing)), .. }) => Ok(listing),
            Some(_) => Err(Failure::because("the handle is of a file")),
            None => Err(Failure::no_handle()),
        }
    }

    /// The place that `handle` names, if something is open there.
    fn find(&self, handle: &[u8]) -> Option<usize> {
        let (at, times) = handle.split_first_chunk::<4>()?;
        let at = usize::try_from(u32::from_be_bytes(*at)).ok()?;
        let place = self.places.get(at)?;
        (place.times.to_be_bytes() == times && place.open.is_some()).then_some(at)
    }
}
