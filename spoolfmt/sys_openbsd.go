package spoolfmt

// OpenBSD has no way to open a directory that may be entered but not read:
// there, tmp has to be readable for feeders.
const searchOnly = 0
