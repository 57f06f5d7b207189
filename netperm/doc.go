// Package netperm reads the netperm-table, the configuration file of the
// TIS Firewall Toolkit, as smap and smapd use it.
//
// # Format
//
// A table is text. Each rule is one logical line:
//
//	keyword[, keyword...]: clause [value...]
//
// A keyword names a program; "*" is every program. Rules for programs other
// than the one that reads the table are ignored, so one table serves a whole
// firewall. Values are words, split on blanks (space, tab).
//
//   - "#" begins a comment where a word could begin: at the start of a line or
//     after a blank. Within a word ("a#b") and within double quotes it is an
//     ordinary character. A comment ends with its line, always: a backslash at
//     the end of a comment does not continue it, so commenting out the first
//     line of a continued rule cannot swallow the rule below it unnoticed. (The
//     Toolkit knew comments at the start of a line only; a word of a value that
//     begins with "#" must be quoted here.)
//   - A backslash that ends a line continues the rule on the next one and counts
//     as a blank. A backslash followed by blanks at the end of a line is an
//     error, not a surprise.
//   - Double quotes group: blanks and "#" within them are ordinary. Quotes may
//     begin and end within a word. `\"`, `\\` and (outside quotes) `\#` are
//     the second of their characters; any other backslash is an error. A single quote is an
//     ordinary character.
//   - Blank lines are ignored; lines end in LF or CR LF; a byte order mark at the
//     start is ignored. Outside comments the text is UTF-8 and holds no control
//     characters.
//   - A table is at most [MaxTable] octets.
//
// Rules are read from top to bottom. Of a clause that takes a single value the
// first rule counts and later ones are never used. Of a list clause (see
// [Clause]) all rules count, in their order. "permit-hosts" and "deny-hosts"
// are permission rules: evaluated in order, the first that matches decides (see
// [Table.Permit]); "hosts" alone is an old spelling of "permit-hosts".
//
// An unknown clause under an exact keyword is an error that names the nearest
// known clause; under "*" it is ignored. Clauses that the Toolkit or its
// successors knew and this package does not are warned about and ignored.
//
// # Host patterns
//
// See [ParsePattern].
//
// # Trust
//
// [Load] refuses a table, and [Table.CheckFiles] refuses a file or program that
// a table names, that somebody other than root and the caller could change; see
// [CheckFile] for the rule.
//
// # Compatibility
//
// What a table means does not change within a major version; new clauses and
// new values may be added.
package netperm
