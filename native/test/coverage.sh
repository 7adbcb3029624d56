#!/usr/bin/env bash
# Lines of native code (without binding/) that the C++ tests run; fails below the share in percent
# given as the first argument (default 90). Needs Debian's lcov.
set -eu
cd "$(dirname "$0")/../.."
least=${1:-90}
build=out/coverage
cmake -S native -B $build -DACTIVEMX_COVERAGE=ON >/dev/null
cmake --build $build -j 2 >/dev/null
find $build -name '*.gcda' -delete
ctest --test-dir $build --output-on-failure >/dev/null
lcov -q --capture --directory $build --output-file $build/all.info
lcov -q --extract $build/all.info "$PWD/native/core/*" "$PWD/native/gate/*" "$PWD/native/engine/*" \
  --output-file $build/native.info
lcov --list $build/native.info
lcov --summary $build/native.info 2>&1 | awk -v least="$least" '
  /lines/ { share = substr($2, 1, length($2) - 1) + 0
            printf "native line coverage %.1f %%, at least %d %%\n", share, least
            exit share < least }'
