// Package interop lets the built programs, bundler and seeder, meet the clients and
// servers that sites run: skopeo, containerd, buildah, dnf, GNU tar, oras-go, Debian's
// docker-registry, and the doubles of a login and of a Nexus. What goes in is made with
// other people's code, and what comes out is judged by it.
//
// A test whose tools are missing is skipped, except where the variable CI is set.
package interop
