package main

import (
	"bytes"
	"context"
	"slices"

	"smap/spoolfmt"
)

// idBlock is how many octets of ids are kept together.
const idBlock = 1 << 20

// A refList holds many refs in little memory: 400,000 fit into 24 MiB,
// and have no pointers that the garbage collector would have to follow.
type refList struct {
	ids  [][]byte
	list []packedRef
}

// A packedRef is a ref whose id is in a block of ids.
type packedRef struct {
	block, at uint32
	length    uint16
	box       uint8
	kind      uint8
}

func (p *refList) add(r ref) {
	last := len(p.ids) - 1
	if last < 0 || len(p.ids[last])+len(r.id) > idBlock {
		p.ids = append(p.ids, make([]byte, 0, idBlock))
		last++
	}
	p.list = append(p.list, packedRef{uint32(last), uint32(len(p.ids[last])), uint16(len(r.id)), uint8(r.box), uint8(r.kind)})
	p.ids[last] = append(p.ids[last], r.id...)
}

// id is good as long as the list.
func (p *refList) id(x packedRef) []byte { return p.ids[x.block][x.at:][:x.length] }

func (p *refList) sort() {
	slices.SortFunc(p.list, func(a, b packedRef) int { return bytes.Compare(p.id(a), p.id(b)) })
}

// each calls f for all, a few at a time.
func (p *refList) each(ctx context.Context, f func([]ref) error) error {
	part := make([]ref, 0, chunkSize)
	for some := range slices.Chunk(p.list, chunkSize) {
		part = part[:0]
		for _, x := range some {
			part = append(part, ref{id: string(p.id(x)), box: spoolfmt.Box(x.box), kind: spoolfmt.Kind(x.kind)})
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(part); err != nil {
			return err
		}
	}
	return nil
}
