//! What must hold of the text of a command, whatever it is.
