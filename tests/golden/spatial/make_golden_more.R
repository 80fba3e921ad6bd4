# Further golden values: a window with holes, points on integers (ties), varying intensity, F and J.
# Run in this folder: Rscript make_golden_more.R
# Writes p3_holes_*.csv and p5_integers_*.csv, and session_info_more.txt. spatstat bins distances
# [a, b), so on integer points K is taken at half-integer radii, where no distance ties.
suppressMessages(library(spatstat))
fmt <- function(x) ifelse(is.finite(x), sprintf("%.15g", x), "NA")
save_csv <- function(d, f) {
  for (j in names(d)) if (is.numeric(d[[j]])) d[[j]] <- fmt(d[[j]])
  write.csv(d, f, row.names = FALSE, quote = FALSE)
}
set.seed(20261124)

# --- a non-convex polygon with two holes
exterior <- list(x = c(0, 520, 640, 430, 470, 200, 20), y = c(0, -40, 260, 250, 470, 520, 300))
holes <- list(list(x = c(120, 140, 220, 210), y = c(100, 180, 190, 90)),   # clockwise
              list(x = c(350, 330, 420), y = c(300, 380, 330)))
W <- owin(poly = c(list(exterior), holes))
stopifnot(area(W) > 0)
rings <- do.call(rbind, lapply(0:2, function(k) {
  p <- if (k == 0) exterior else holes[[k]]
  data.frame(ring = k, x = p$x, y = p$y)
}))
save_csv(rings, "p3_holes_window.csv")
X <- runifpoint(330, win = W)
marks(X) <- factor(sample(c("A", "B"), 330, replace = TRUE, prob = c(.4, .6)))
X$x <- round(X$x, 6); X$y <- round(X$y, 6)
stopifnot(all(inside.owin(X$x, X$y, W)))
save_csv(data.frame(x = X$x, y = X$y, type = marks(X)), "p3_holes_points.csv")
q <- seq(5, 120, by = 5)
r <- sort(c(0, q, q - 1e-7)); at <- match(q, r)
K <- NULL
for (i in c("A", "B")) for (j in c("A", "B")) {
  cc <- c("none", "border", "isotropic")
  k <- as.data.frame(if (i == j) Kest(X[marks(X) == i], r = r, correction = cc, nlarge = Inf)
                     else Kcross(X, i, j, r = r, correction = cc))[at, ]
  g <- as.data.frame(if (i == j) Gest(X[marks(X) == i], r = r, correction = "rs")
                     else Gcross(X, i, j, r = r, correction = "rs"))[at, ]
  K <- rbind(K, data.frame(i = i, j = j, r = q, none = k$un, border = k$border, iso = k$iso, G_rs = g$rs))
}
save_csv(K, "p3_holes_K.csv")
save_csv(data.frame(bdist = bdist.points(X)), "p3_holes_bdist.csv")

# --- varying intensity, given at the points
A <- unmark(X[marks(X) == "A"]); B <- unmark(X[marks(X) == "B"])
lam <- function(p, s) s * exp(p$x / 400 - p$y / 900)
lA <- lam(A, 3e-4); lB <- lam(B, 5e-4)
save_csv(rbind(data.frame(type = "A", intensity = lA), data.frame(type = "B", intensity = lB)),
         "p3_holes_intensity.csv")
cc <- c("border", "isotropic")
ki <- as.data.frame(Kinhom(A, lambda = lA, r = r, correction = cc, nlarge = Inf))[at, ]
kc <- as.data.frame(Kcross.inhom(X, "A", "B", lambdaI = lA, lambdaJ = lB, r = r, correction = cc))[at, ]
save_csv(data.frame(r = q, one_border = ki$border, one_iso = ki$iso,
                    cross_border = kc$border, cross_iso = kc$iso), "p3_holes_inhomogeneous.csv")
# leave-one-out kernel intensity on the enclosing rectangle, where the edge factor is exact in both
R <- owin(c(-10, 650), c(-50, 530)); AR <- ppp(A$x, A$y, window = R)
d <- density(AR, sigma = 60, at = "points", leaveoneout = TRUE, edge = TRUE)
save_csv(data.frame(intensity = as.numeric(d)), "p3_holes_density.csv")

# --- integer coordinates: duplicates and many ties
n <- 260
Y <- ppp(sample(0:60, n, TRUE), sample(0:40, n, TRUE), window = owin(c(0, 60), c(0, 40)), check = FALSE)
save_csv(data.frame(x = Y$x, y = Y$y), "p5_integers_points.csv")
h <- (0:19) + 0.5
r5 <- sort(c(0, h, h - 1e-7)); at5 <- match(h, r5)
k5 <- as.data.frame(Kest(Y, r = r5, correction = c("none", "border", "translate", "isotropic"), nlarge = Inf))[at5, ]
g5 <- as.data.frame(Gest(Y, r = r5, correction = c("none", "rs")))[at5, ]
save_csv(data.frame(r = h, none = k5$un, border = k5$border, translate = k5$trans, iso = k5$iso,
                    G_none = g5$raw, G_rs = g5$rs), "p5_integers_K.csv")

# --- F and J of pattern 1 (pixels: coarse agreement only)
P <- read.csv("p1_poisson_rect_points.csv"); P <- P[P$type == "A", ]
Z <- ppp(P$x, P$y, window = owin(c(0, 500), c(0, 400)))
rf <- seq(0, 40, by = 0.05)
f <- as.data.frame(Fest(Z, r = rf, eps = 0.5, correction = c("rs", "km")))
keep <- match(seq(5, 40, by = 5), round(rf, 6))
save_csv(data.frame(r = rf[keep], rs = f$rs[keep], km = f$km[keep]), "p1_poisson_rect_F.csv")
sink("session_info_more.txt"); print(sessionInfo()); sink()
