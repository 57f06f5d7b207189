// Package install tests units, packages, recipes, the demonstration, and smapd started by a script.
package install
