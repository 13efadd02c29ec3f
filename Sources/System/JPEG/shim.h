// Compile and link flags come from pkg-config; the headers are seen by CJPEG alone.
