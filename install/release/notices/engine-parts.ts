// Bun and the libraries linked into it, from the licence file in Bun's source. The versions are those of
// `process.versions`. A test fails if Bun names a library that is neither in ENGINE nor in NOT_PARTS.
import type { Part } from "./part.ts";

/** A library in Bun; `versionKey` is its name in `process.versions`. */
interface EnginePart extends Omit<Part, "version"> {
  readonly versionKey?: string;
}

/** Names in `process.versions` that are not libraries in the executable. */
const NOT_PARTS: ReadonlySet<string> = new Set([
  "node", // the interface that Bun follows
  "openssl", // the version of OpenSSL with which BoringSSL is compatible
  "zig", // a compiler
  "v8", // the interface that Bun follows
  "uv", // on Windows only
  "napi", // an interface
  "modules", // an interface
  "unicode", // the standard that ICU follows
  "typescript", // a language
]);

const ENGINE: readonly EnginePart[] = [
  {
    name: "Bun",
    versionKey: "bun",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright (c) Oven and the Bun contributors"],
    source: "https://github.com/oven-sh/bun",
    remark:
      "The libraries in it are listed here as far as its own list and the executable name them. Parts of it are a port of " +
      "esbuild (MIT, Copyright (c) 2020 Evan Wallace).",
  },
  {
    name: "JavaScriptCore (WebKit)",
    versionKey: "webkit",
    licence: "LGPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-2-Clause",
    texts: ["LGPL-2.0", "LGPL-2.1", "BSD-2-Clause"],
    copyright: ["Copyright (C) Apple Inc., Google Inc. and the other contributors to WebKit"],
    source: "https://github.com/oven-sh/WebKit",
    remark: "To run this program with another version of it, see 'Another version of a library' in docs/release.md.",
  },
  {
    name: "BoringSSL",
    versionKey: "boringssl",
    licence: "Apache-2.0 AND ISC AND BSD-3-Clause",
    texts: ["Apache-2.0", "ISC", "BSD-3-Clause"],
    copyright: [
      "Copyright (c) 2014, Google LLC",
      "Copyright (c) 1998-2024 The OpenSSL Project Authors",
      "Copyright (c) 1995-1998 Eric Young (eay@cryptsoft.com)",
      "Copyright (c) 2015-2020 the fiat-crypto authors",
    ],
    source: "https://boringssl.googlesource.com/boringssl",
  },
  mit("Brotli", "Copyright (c) 2013-2015 by the Brotli Authors.", "https://github.com/google/brotli"),
  {
    name: "libarchive",
    versionKey: "libarchive",
    licence: "BSD-2-Clause AND BSD-3-Clause",
    texts: ["BSD-2-Clause", "BSD-3-Clause"],
    copyright: [
      "Copyright (c) 2003-2018 Tim Kientzle and others",
      "Copyright (c) The Regents of the University of California",
    ],
    source: "https://github.com/libarchive/libarchive",
  },
  {
    name: "LOL HTML",
    versionKey: "lolhtml",
    licence: "BSD-3-Clause",
    texts: ["BSD-3-Clause"],
    copyright: ["Copyright (C) 2019, Cloudflare, Inc.", "Copyright (C) 2019, Ivan Nikulin"],
    source: "https://github.com/cloudflare/lol-html",
  },
  mit(
    "LS-HPACK",
    "Copyright (c) 2018 LiteSpeed Technologies Inc",
    "https://github.com/litespeedtech/ls-hpack",
    "lshpack",
  ),
  mit("LS-QPACK", "Copyright (c) 2018 - 2021 LiteSpeed Technologies Inc", "https://github.com/litespeedtech/ls-qpack"),
  {
    name: "LSQUIC",
    licence: "MIT AND BSD-3-Clause",
    texts: ["MIT", "BSD-3-Clause"],
    copyright: ["Copyright (c) 2017 LiteSpeed Technologies Inc", "Copyright 2015 The Chromium Authors."],
    source: "https://github.com/litespeedtech/lsquic",
  },
  mit(
    "mimalloc",
    "Copyright (c) 2018 Microsoft Corporation, Daan Leijen",
    "https://github.com/microsoft/mimalloc",
    "mimalloc",
  ),
  mit(
    "picohttpparser",
    "Copyright (c) 2009-2014 Kazuho Oku, Tokuhiro Matsuno, Daisuke Murase",
    "https://github.com/h2o/picohttpparser",
    "picohttpparser",
  ),
  mit("llhttp", "Copyright Fedor Indutny, 2018.", "https://github.com/nodejs/llhttp", "llhttp"),
  {
    name: "Zstandard",
    versionKey: "zstd",
    licence: "BSD-3-Clause",
    texts: ["BSD-3-Clause"],
    copyright: ["Copyright (c) Meta Platforms, Inc. and affiliates."],
    source: "https://github.com/facebook/zstd",
  },
  apache("simdutf", "Copyright 2021 The simdutf authors", "https://github.com/simdutf/simdutf"),
  {
    name: "TinyCC",
    versionKey: "tinycc",
    licence: "LGPL-2.1-or-later",
    texts: ["LGPL-2.1"],
    copyright: ["Copyright (c) 2001-2004 Fabrice Bellard and others"],
    source: "https://github.com/oven-sh/tinycc",
    remark: "To run this program with another version of it, see 'Another version of a library' in docs/release.md.",
  },
  apache("µSockets", "Copyright Alex Hultman and contributors", "https://github.com/uNetworking/uSockets", "usockets"),
  apache(
    "µWebSockets",
    "Copyright Alex Hultman and contributors",
    "https://github.com/uNetworking/uWebSockets",
    "uwebsockets",
  ),
  {
    name: "zlib-ng",
    versionKey: "zlib",
    licence: "Zlib",
    texts: ["Zlib"],
    copyright: ["(C) 1995-2025 Jean-loup Gailly and Mark Adler"],
    source: "https://github.com/zlib-ng/zlib-ng",
  },
  mit(
    "c-ares",
    "Copyright (c) 1998 Massachusetts Institute of Technology, (c) 2007-2023 Daniel Stenberg with many contributors",
    "https://github.com/c-ares/c-ares",
    "ares",
  ),
  {
    name: "ICU",
    versionKey: "icu",
    licence: "Unicode-3.0",
    texts: ["Unicode-3.0"],
    copyright: [
      "Copyright (C) 2016 and later: Unicode, Inc. and others",
      "Copyright (c) 1995-2016 International Business Machines Corporation and others",
    ],
    source: "https://github.com/unicode-org/icu",
    remark: "Its dictionaries for the breaking of words have further authors; the file LICENSE of ICU names them.",
  },
  {
    name: "base64",
    licence: "BSD-2-Clause",
    texts: ["BSD-2-Clause"],
    copyright: [
      "Copyright (c) 2005-2007, Nick Galbreath",
      "Copyright (c) 2015-2017, Wojciech Mula",
      "Copyright (c) 2016-2017, Matthieu Darbois",
      "Copyright (c) 2013-2022, Alfred Klomp",
    ],
    source: "https://github.com/aklomp/base64",
  },
  mit(
    "libdeflate",
    "Copyright 2016 Eric Biggers, Copyright 2024 Google LLC",
    "https://github.com/ebiggers/libdeflate",
    "libdeflate",
  ),
  {
    name: "libjpeg-turbo",
    licence: "IJG AND BSD-3-Clause AND Zlib",
    texts: ["BSD-3-Clause", "Zlib"],
    copyright: [
      "Copyright (C) 1991-2020, Thomas G. Lane, Guido Vollbeding",
      "Copyright (C) 2009-2025 D. R. Commander and others",
    ],
    source: "https://github.com/libjpeg-turbo/libjpeg-turbo",
    remark: "This software is based in part on the work of the Independent JPEG Group.",
  },
  {
    name: "libspng",
    licence: "BSD-2-Clause",
    texts: ["BSD-2-Clause"],
    copyright: ["Copyright (c) 2018-2021, Randy <randy408@protonmail.com>"],
    source: "https://github.com/randy408/libspng",
  },
  {
    name: "libwebp",
    licence: "BSD-3-Clause",
    texts: ["BSD-3-Clause"],
    copyright: ["Copyright (c) 2010, Google Inc."],
    source: "https://github.com/webmproject/libwebp",
  },
  apache("Highway", "Copyright 2019 Google LLC", "https://github.com/google/highway"),
  mit("uucode", "Copyright (c) Jacob Sandlund", "https://github.com/jacobsandlund/uucode"),
  {
    name: "SQLite",
    versionKey: "sqlite",
    licence: "LicenseRef-public-domain",
    ownText: "The authors of SQLite have dedicated its code to the public domain.\n",
    source: "https://sqlite.org",
  },
  {
    name: "HdrHistogram_c",
    licence: "BSD-2-Clause",
    texts: ["BSD-2-Clause"],
    copyright: [
      "Copyright (c) 2012-2014 Gil Tene",
      "Copyright (c) 2014 Michael Barker",
      "Copyright (c) 2014 Matt Warren",
      "Copyright (c) 2015 Philip Orwig",
    ],
    source: "https://github.com/HdrHistogram/HdrHistogram_c",
  },
  {
    name: "libc++abi",
    licence: "Apache-2.0 WITH LLVM-exception",
    texts: ["Apache-2.0"],
    copyright: ["Copyright (c) the LLVM project's contributors"],
    source: "https://github.com/llvm/llvm-project",
  },
  mit(
    "packages of Node's ecosystem that Bun carries for code made for browsers",
    "Copyright their authors: acorn, acorn-walk, assert, browserify-zlib, buffer, constants-browserify, crypto-browserify, " +
      "domain-browser, events, https-browserify, os-browserify, path-browserify, process, punycode, querystring-es3, " +
      "stream-browserify, stream-http, string_decoder, timers-browserify, tty-browserify, url, util, vm-browserify",
    "https://github.com/oven-sh/bun",
  ),
];

function mit(name: string, copyright: string, source: string, versionKey?: string): EnginePart {
  return permissive("MIT", name, copyright, source, versionKey);
}

function apache(name: string, copyright: string, source: string, versionKey?: string): EnginePart {
  return permissive("Apache-2.0", name, copyright, source, versionKey);
}

function permissive(
  licence: "MIT" | "Apache-2.0",
  name: string,
  copyright: string,
  source: string,
  versionKey?: string,
): EnginePart {
  const one = { name, licence, texts: [licence], copyright: [copyright], source };
  return versionKey === undefined ? one : { ...one, versionKey };
}

/** Returns Bun and its libraries; `versions` is `process.versions`. Throws if a version is missing. */
export function engineParts(versions: Readonly<Record<string, string | undefined>>): Part[] {
  return ENGINE.map(({ versionKey, ...part }) => {
    const within = part.name === "Bun" ? {} : { within: "Bun" };
    if (versionKey === undefined) return { ...part, ...within };
    const version = versions[versionKey];
    if (version === undefined) throw new Error(`Bun names no version of '${versionKey}'`);
    const purl = versionKey === "bun" ? { purl: `pkg:github/oven-sh/bun@bun-v${version}` } : {};
    return { ...part, ...within, ...purl, version };
  });
}

/** Returns the names of libraries in `process.versions` that are not in ENGINE. */
export function unknownLibraries(versions: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(ENGINE.map(({ versionKey }) => versionKey));
  return Object.keys(versions).filter((name) => !known.has(name) && !NOT_PARTS.has(name));
}
