# The three programs and nothing else. `make image` builds them first with the local Go, so the image needs no base image
# and no compiler.
FROM scratch
COPY bin/static/ /bin/
ENV PATH=/bin
USER 65532:65532
CMD ["supervisor", "--help"]
