#!/usr/bin/env bash

#$ -N nmcdist
#$ -q fast
#$ -P nmc811
#$ -l mem_free=1536M,gpu=1
#$ -l h_rt=36:00:00
#$ -cwd
#$ -j y
#$ -S /bin/bash
#$ -o /scratch/logs/
#$ -pe smp 2
#$ -R y
module load gcc
ulimit -c 0
export MALLOC_TRIM_THRESHOLD_=65536 OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 VECLIB_MAXIMUM_THREADS=2 NUMBA_NUM_THREADS=2 DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=False DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE=0.95 DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True DASK_DISTRIBUTED__COMM__TLS__CA_FILE=CREDENTIALS/certificate.pem DASK_DISTRIBUTED__COMM__TLS__WORKER__CERT=CREDENTIALS/certificate.pem DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY=CREDENTIALS/key.pem
/opt/nmcdist/bin/python -m distributed.cli.dask_worker tls://SCHEDULER:PORT --name nmcdist --nthreads 1 --memory-limit 1536MiB --nanny --death-timeout 60 --local-directory /scratch/local --lifetime 129000s --lifetime-stagger 300s --no-lifetime-restart --no-dashboard --dashboard-address 127.0.0.1:0 --resources GPU=1 --interface ib0 --protocol tls://
