# All 25 ordered cross K functions of a CSV of points, one correction at a time: CPU seconds and values.
# Called by cross_k.py: Rscript cross_k.R POINTS.csv SIDE CORRECTION REPEATS OUT.csv
suppressMessages(library(spatstat.explore))
a <- commandArgs(TRUE)
d <- read.csv(a[1]); side <- as.numeric(a[2]); correction <- a[3]; repeats <- as.integer(a[4])
X <- ppp(d$x, d$y, window = owin(c(0, side), c(0, side)), marks = factor(d$type), check = FALSE)
r <- seq(0, 150, by = 5)
types <- levels(marks(X))
once <- function() {
  out <- list()
  for (i in types) for (j in types) {
    k <- if (i == j) Kest(X[marks(X) == i], r = r, correction = correction, nlarge = Inf)
         else Kcross(X, i, j, r = r, correction = correction)
    out[[paste(i, j)]] <- as.data.frame(k)[[3]][-1]
  }
  out
}
seconds <- numeric(repeats)
for (n in seq_len(repeats)) { t <- proc.time(); K <- once(); seconds[n] <- sum((proc.time() - t)[1:2]) }
write.csv(data.frame(median(seconds), as.character(packageVersion("spatstat.explore"))), paste0(a[5], ".time"), row.names = FALSE)
write.csv(as.data.frame(K, check.names = FALSE), a[5], row.names = FALSE)
