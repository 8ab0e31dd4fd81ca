//! Which rules speak about an atom.
