# Reference values for squidpy_functions.py: L, G and F by spatstat on a fine grid of radii, z scores by spdep,
# the Delaunay triangulation by deldir. Rscript squidpy_functions.R POINTS.csv SIDE ARCS.csv FOLDER
suppressMessages({library(spatstat.explore); library(spdep); library(deldir)})
a <- commandArgs(TRUE)
d <- read.csv(a[1]); side <- as.numeric(a[2]); arcs <- read.csv(a[3]); folder <- a[4]
W <- owin(c(0, side), c(0, side))
X <- ppp(d$x, d$y, window = W, marks = factor(d$type), check = FALSE)
r <- seq(0, 250, by = 5); fine <- seq(0, 250, by = 0.05); at <- seq(1, length(fine), by = 100)
types <- levels(marks(X)); L <- own <- cross <- empty <- NULL
for (i in types) {
  Y <- unmark(X[marks(X) == i]); Z <- unmark(X[marks(X) != i])
  L <- rbind(L, sqrt(as.data.frame(Kest(Y, r = r, correction = "isotropic", nlarge = Inf))$iso / pi))
  own <- rbind(own, as.data.frame(Gest(Y, r = fine, correction = "km"))$km[at])
  M <- superimpose(a = Z, b = Y, W = W)
  cross <- rbind(cross, as.data.frame(Gcross(M, "a", "b", r = fine, correction = "km"))$km[at])
  empty <- rbind(empty, as.data.frame(Fest(Y, r = fine, eps = side / 2000, correction = "km"))$km[at])
}
put <- function(x, name) write.csv(x, file.path(folder, name), row.names = FALSE)
put(L, "L.csv"); put(own, "own.csv"); put(cross, "cross.csv"); put(empty, "empty.csv")
neighbours <- unname(split(arcs$target + 1L, factor(arcs$source + 1L, seq_len(nrow(d)))))
neighbours <- lapply(neighbours, function(x) if (length(x)) as.integer(x) else 0L)
class(neighbours) <- "nb"
j <- joincount.multi(factor(d$type), nb2listw(neighbours, style = "B", zero.policy = TRUE), zero.policy = TRUE)
z <- matrix(0, length(types), length(types), dimnames = list(types, types))
for (p in setdiff(rownames(j), "Jtot")) { k <- strsplit(p, ":")[[1]]; z[k[1], k[2]] <- z[k[2], k[1]] <- j[p, "z-value"] }
put(z, "z.csv")
t <- deldir(d$x, d$y, rw = c(-side, 2 * side, -side, 2 * side), round = FALSE)$delsgs
put(data.frame(source = t$ind1 - 1L, target = t$ind2 - 1L), "deldir.csv")
v <- function(p) as.character(packageVersion(p))
put(data.frame(spatstat = v("spatstat.explore"), spdep = v("spdep"), deldir = v("deldir")), "versions.csv")
