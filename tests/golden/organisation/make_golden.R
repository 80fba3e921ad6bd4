# Golden values for the tissue-organisation statistics of times_stats.features.
# Usage: Rscript make_golden.R, from this folder.
# Writes cells.csv and bands.csv (inputs), golden.csv (values, the R function beside each), joins.csv (join counts),
# edges.csv (links of the graphs, 1-based rows), windows.csv (shares around each cell) and session_info.txt.
suppressPackageStartupMessages({library(vegan); library(spdep); library(deldir)})
options(digits = 16)
set.seed(20261124)

# --- inputs: 150 cells, types clustered in space, no two equally far ------------------------------------------------
n <- 150
cells <- data.frame(x = round(runif(n, 0, 400), 3), y = round(runif(n, 0, 300), 3))
p <- plogis((cells$x - 200) / 60)
cells$cell_type <- ifelse(runif(n) < p, "tumour", sample(c("B", "T", "T", "stroma"), n, replace = TRUE))
cells$distance <- round(200 - cells$x, 3)  # tumour at x > 200: negative inside
write.csv(cells, "cells.csv", row.names = FALSE, quote = FALSE)
xy <- as.matrix(cells[c("x", "y")])
type <- factor(cells$cell_type, levels = c("B", "T", "stroma", "tumour"))

golden <- data.frame()
add <- function(data, quantity, argument, value, fun)
  golden <<- rbind(golden, data.frame(data = data, quantity = quantity, argument = as.character(argument),
                                      value = as.numeric(value), r_function = fun))

# --- graphs ----------------------------------------------------------------------------------------------------------
graphs <- list(radius = dnearneigh(xy, 0, 45),
               nearest = knn2nb(knearneigh(xy, k = 6)))
mesh <- deldir(cells$x, cells$y)
edges <- rbind(
  do.call(rbind, lapply(names(graphs), function(g) data.frame(
    graph = g, source = rep(seq_len(n), card(graphs[[g]])), target = unlist(lapply(graphs[[g]], function(v) v[v > 0]))))),
  data.frame(graph = "delaunay", source = pmin(mesh$delsgs$ind1, mesh$delsgs$ind2), target = pmax(mesh$delsgs$ind1, mesh$delsgs$ind2)))
write.csv(edges, "edges.csv", row.names = FALSE, quote = FALSE)

# --- join counts without replacement: spdep on a graph without directions; isolated cells kept in n ------------------
delaunay <- vector("list", n)
for (k in seq_len(nrow(mesh$delsgs))) {
  i <- mesh$delsgs$ind1[k]; j <- mesh$delsgs$ind2[k]
  delaunay[[i]] <- c(delaunay[[i]], j); delaunay[[j]] <- c(delaunay[[j]], i)
}
delaunay <- lapply(delaunay, function(v) sort(as.integer(v)))
class(delaunay) <- "nb"; attr(delaunay, "region.id") <- as.character(seq_len(n)); attr(delaunay, "sym") <- TRUE
joins <- data.frame()
for (g in c("radius", "delaunay")) {
  nb <- if (g == "radius") graphs$radius else delaunay
  lw <- nb2listw(nb, style = "B", zero.policy = TRUE)
  jc <- unclass(joincount.multi(type, lw, zero.policy = TRUE, adjust.n = FALSE))
  jc <- jc[rownames(jc) != "Jtot", ]
  joins <- rbind(joins, data.frame(graph = g, pair = rownames(jc), joins = jc[, 1], expected = jc[, 2], variance = jc[, 3], z = jc[, 4]))
}
write.csv(format(joins, digits = 16, trim = TRUE), "joins.csv", row.names = FALSE, quote = FALSE)

# --- mixing: pairs from the full distance matrix -----------------------------------------------------------------------
d <- as.matrix(dist(xy))
immune <- cells$cell_type %in% c("B", "T"); tumour <- cells$cell_type == "tumour"
for (r in c(15, 30, 60)) {
  it <- sum(d[immune, tumour] <= r); ii <- sum(d[immune, immune][upper.tri(d[immune, immune])] <= r)
  add("cells", "immune_tumour", r, it, "dist, sum")
  add("cells", "immune_immune", r, ii, "dist, upper.tri, sum")
  add("cells", "mixing_score", r, it / ii, "dist, ratio of sums")
  add("cells", "normalised_mixing_score", r, (it / (sum(immune) * sum(tumour))) / (ii / choose(sum(immune), 2)), "dist, ratio of shares")
}

# --- Morisita-Horn -----------------------------------------------------------------------------------------------------
quadrat <- interaction(cut(cells$x, seq(0, 400, 50), right = FALSE, include.lowest = TRUE),
                       cut(cells$y, seq(0, 300, 50), right = FALSE, include.lowest = TRUE))
counts <- table(immune = ifelse(immune, "immune", ifelse(tumour, "tumour", "other")), quadrat)
add("cells", "morisita_horn", 50, 1 - vegdist(counts[c("immune", "tumour"), ], method = "horn"), "1 - vegan::vegdist(method = 'horn')")
series <- list(a = rbind(c(5, 0, 3, 2), c(1, 4, 0, 2)), b = rbind(c(10, 20, 30, 0), c(1, 2, 3, 0)), c = rbind(c(7, 0, 0), c(0, 5, 5)))
for (s in names(series)) add(paste(apply(series[[s]], 1, paste, collapse = " "), collapse = "|"), "morisita_horn_index", "equal areas",
                             1 - vegdist(series[[s]], method = "horn"), "1 - vegan::vegdist(method = 'horn')")
# two densities constant in each quadrat: the integrals of f g, f^2, g^2 by adding fine equal cells (area 1) within quadrats of area 1, 2, 4, 3
fine <- rep(1:4, c(1, 2, 4, 3)); areas <- c(1, 2, 4, 3)
spread <- t(apply(series$a, 1, function(v) (v / areas)[fine]))
add(paste(apply(series$a, 1, paste, collapse = " "), collapse = "|"), "morisita_horn_index", "1 2 4 3",
    1 - vegdist(spread, method = "horn"), "1 - vegan::vegdist(method = 'horn') on parts of equal area")

# --- infiltration ------------------------------------------------------------------------------------------------------
bands <- data.frame(lower = c(-200, -100, -50, 0, 50, 100), upper = c(-100, -50, 0, 50, 100, 200), area = c(30000, 15000, 15000, 12000, 15000, 30000))
bands$count <- as.integer(table(cut(cells$distance[immune], c(bands$lower, 200), right = FALSE, include.lowest = TRUE)))
write.csv(bands, "bands.csv", row.names = FALSE, quote = FALSE)
bands$x <- (bands$lower + bands$upper) / 2 / 100
fits <- list(poisson = glm(count ~ x, poisson, bands, offset = log(area / 1e6), control = glm.control(epsilon = 1e-14, maxit = 100)),
             quasi = glm(count ~ x, quasipoisson, bands, offset = log(area / 1e6), control = glm.control(epsilon = 1e-14, maxit = 100)))
for (f in names(fits)) {
  s <- summary(fits[[f]]); fun <- paste0("glm(", s$family$family, ", offset = log(area))")
  add("bands", paste0("slope_", f), "", coef(fits[[f]])["x"], fun)
  add("bands", paste0("se_", f), "", s$coefficients["x", "Std. Error"], fun)
}
add("bands", "intercept", "", coef(fits$poisson)[1], "glm(poisson, offset = log(area))")
add("bands", "dispersion", "", summary(fits$quasi)$dispersion, "summary.glm(quasipoisson)$dispersion")
add("bands", "lower_poisson", "", confint.default(fits$poisson)["x", 1], "confint.default")
add("bands", "upper_poisson", "", confint.default(fits$poisson)["x", 2], "confint.default")
half <- qt(.975, fits$quasi$df.residual) * summary(fits$quasi)$coefficients["x", "Std. Error"]
add("bands", "lower_quasi", "", coef(fits$quasi)["x"] - half, "qt(.975, df.residual), summary.glm")
add("bands", "upper_quasi", "", coef(fits$quasi)["x"] + half, "qt(.975, df.residual), summary.glm")
for (level in c(.95, .8)) for (k in c(0, 1, 7, 250)) {
  ci <- poisson.test(k, 0.5, conf.level = level)$conf.int
  add(as.character(k), "intensity_lower", level, ci[1], "poisson.test(k, T = 0.5)")
  add(as.character(k), "intensity_upper", level, ci[2], "poisson.test(k, T = 0.5)")
}

# --- composition -------------------------------------------------------------------------------------------------------
for (limits in list(c(-200, 0), c(0, 100), c(100, 200))) {
  inside <- cells$distance >= limits[1] & cells$distance < limits[2] + (limits[2] == 200)
  k <- table(type[inside])
  h <- diversity(as.vector(k), "shannon")
  add("cells", "entropy", paste(limits, collapse = " "), h, "vegan::diversity('shannon')")
  add("cells", "effective_types", paste(limits, collapse = " "), exp(h), "exp(vegan::diversity)")
  add("cells", "entropy_miller_madow", paste(limits, collapse = " "), h + (sum(k > 0) - 1) / (2 * sum(k)), "vegan::diversity + (m - 1) / (2 n)")
}

# --- windows of 10 cells, the cell itself among them ------------------------------------------------------------------
near <- knearneigh(xy, k = 9)$nn
windows <- t(sapply(seq_len(n), function(i) table(type[c(i, near[i, ])]) / 10))
write.csv(windows, "windows.csv", row.names = FALSE, quote = FALSE)

write.csv(golden, "golden.csv", row.names = FALSE)
session <- capture.output(sessionInfo())
writeLines(session[!grepl("^(BLAS|LAPACK):|^Matrix products", session)], "session_info.txt")  # no paths of this machine
