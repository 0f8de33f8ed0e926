# The three programs and nothing else. `make image` builds them first, with the Go of the machine: the image needs no
# other image, and no compiler.
FROM scratch
COPY bin/static/ /bin/
ENV PATH=/bin
USER 65532:65532
CMD ["supervisor", "--help"]
