package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/rpmpack"
)

// buildRPM makes a tiny package that rpm accepts. What is in it names the run, so that no
// other repository has the same bytes.
func buildRPM(name, run, compressor string, built time.Time) ([]byte, error) {
	p, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: name, Version: "1.0", Release: "1", Arch: "noarch", Epoch: rpmpack.NoEpoch,
		Summary: "Asks a Nexus how it behaves", Description: "Made by seeder probe, run " + run + ". It may be deleted.",
		Licence: "Apache-2.0", BuildHost: "localhost", BuildTime: built, Compressor: compressor,
	})
	if err != nil {
		return nil, fmt.Errorf("make package %s: %w", name, err)
	}
	p.AddFile(rpmpack.RPMFile{
		Name: "/usr/share/" + name + "/README", Body: []byte("seeder probe, run " + run + "\n"),
		Mode: 0o644, Owner: "root", Group: "root", MTime: uint32(built.Unix()),
	})
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		return nil, fmt.Errorf("make package %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// corruptRPM cuts a package in the middle of its header: it begins as a package does, and
// nobody can read what it is.
func corruptRPM(whole []byte) ([]byte, error) {
	const lead, intro, entry = 96, 16, 16
	if len(whole) < lead+intro {
		return nil, errors.New("make a corrupt package: too short")
	}
	entries, data := binary.BigEndian.Uint32(whole[lead+8:]), binary.BigEndian.Uint32(whole[lead+12:])
	header := lead + intro + entry*int(entries) + (int(data)+7)/8*8
	cut := header + intro + 2*entry + 3
	if cut >= len(whole) {
		return nil, errors.New("make a corrupt package: no header to cut")
	}
	return whole[:cut:cut], nil
}
