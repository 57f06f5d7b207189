// Package hostile tests clients and feeders that want to harm, and the jail that holds what they break.
package hostile
