// Package crash tests kills and power cuts: what was accepted is delivered.
package crash
