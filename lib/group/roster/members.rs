//! A set of subjects by their numbers.

/// For each subject, whether it is one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(Vec<bool>);

impl Set {
    pub(super) fn put(&mut self, number: usize, is_in: bool) {
        self.0.get_mut(number).into_iter().for_each(|one| *one = is_in);
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.0.get(number).is_some_and(|one| *one)
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|one| **one).count()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter_map(|(number, is_in)| is_in.then_some(number))
    }
}

impl FromIterator<bool> for Set {
    fn from_iter<I: IntoIterator<Item = bool>>(all: I) -> Self {
        Set(all.into_iter().collect())
    }
}
