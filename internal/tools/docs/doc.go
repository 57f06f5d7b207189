// Package docs has nothing but tests: they hold the manuals in man/ against the
// code, so that every option, clause, exit code and log event is in its page,
// and nothing is there that is not in the code.
package docs
