package spoolfmt

// searchOnly opens a directory that may be entered but not read: O_SEARCH of
// NetBSD's fcntl.h.
const searchOnly = 0x00800000
