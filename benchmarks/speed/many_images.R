# R's side of many_images.py: the families that spatstat and spdep have, on two forked processes.
# Rscript many_images.R POINTS.csv OUT   (columns image, x, y, type, width, height)
began <- proc.time()[["elapsed"]]
suppressMessages({library(spatstat.explore); library(spdep); library(parallel)})
imported <- proc.time()[["elapsed"]] - began
a <- commandArgs(TRUE)
cells <- read.csv(a[1])
cells$type <- factor(cells$type, levels = sort(unique(cells$type), method = "radix"))  # as Python sorts
images <- split(cells, cells$image)
r <- seq(0, 150, by = 5); fine <- seq(0, 150, by = 0.25); at <- seq(21, length(fine), by = 20)
describe <- function(d) {
  W <- owin(c(0, d$width[1]), c(0, d$height[1]))
  X <- ppp(d$x, d$y, window = W, marks = d$type, check = FALSE)
  types <- levels(marks(X)); one <- lapply(setNames(types, types), function(i) unmark(X[marks(X) == i]))
  out <- list(intensity = sapply(one, intensity) * 1e6)
  both <- c("translate", "isotropic")
  for (i in types) for (j in types) {
    k <- if (i == j) Kest(one[[i]], r = r, correction = both, nlarge = Inf) else Kcross(X, i, j, r = r, correction = both)
    out$k <- rbind(out$k, cbind(k$trans[-1], k$iso[-1]))
    g <- if (i == j) Gest(one[[i]], r = fine, correction = "km") else Gcross(X, i, j, r = fine, correction = "km")
    out$g <- c(out$g, g$km[at])
  }
  for (i in types) {
    out$f <- c(out$f, Fest(one[[i]], r = fine, correction = "km")$km[at])
    out$pcf <- c(out$pcf, pcf(one[[i]], r = r, correction = "isotropic")$iso[-1])
  }
  graph <- nb2listw(knn2nb(knearneigh(cbind(d$x, d$y), k = 10)), style = "B")
  j <- joincount.multi(d$type, graph)
  out$z <- j[seq_along(types), "z-value"]
  out
}
# Each task counts its own CPU time: proc.time misses that of a forked process that is not waited for.
timed <- function(d) {
  began <- proc.time()
  out <- describe(d)
  c(out, list(cpu = sum((proc.time() - began)[1:2])))
}
started <- proc.time()[["elapsed"]]
found <- mclapply(images, timed, mc.cores = 2)
wall <- proc.time()[["elapsed"]] - started
if (any(vapply(found, inherits, TRUE, "try-error"))) stop(found[[1]])
v <- function(p) as.character(packageVersion(p))
write.csv(data.frame(wall = wall, cpu = sum(sapply(found, `[[`, "cpu")), imported = imported,
                     spatstat = v("spatstat.explore"), spdep = v("spdep")), paste0(a[2], ".time"), row.names = FALSE)
first <- found[[1]]
for (name in c("intensity", "k", "g", "f", "pcf", "z"))
  write.csv(as.data.frame(first[[name]]), paste0(a[2], ".", name), row.names = FALSE)
